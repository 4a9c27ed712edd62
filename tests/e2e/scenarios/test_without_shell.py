"""Scenario: an image that holds one program and nothing else, by both ways to give variables."""

from __future__ import annotations

from tests.e2e.scenarios import pods


def test_an_image_without_a_shell_gets_variables_by_launcher_and_natively(tenant, inside):
    """With `command` the launcher becomes the program, without it the kubelet sets them."""
    tenant.put_vault("db", user="shop", password="pass word")
    annotations = pods.asking(
        inject="true",
        env={"DATABASE": f"#{{vault:secret/{tenant.namespace}/db#user}}"},
        files={"password": f"#{{vault:secret/{tenant.namespace}/db#password}}"},
        env__native={"OTHER": 'a#{k8s:none#x | default("b")}c'},
    )
    own = [
        {"name": "PLAIN", "value": "plain"},
        {"name": "URL", "value": f"db://#{{vault:secret/{tenant.namespace}/db#password}}@host"},
    ]
    tenant.apply(
        pods.pod(
            "bare",
            pods.bare("launched", command=["/envdump"], env=own),
            pods.bare("native", env=[*own, {"name": "USES", "value": "$(PLAIN) text"}]),
            annotations=annotations,
        )
    )
    pod = inside("bare")

    both = {b"DATABASE": b"shop", b"PLAIN": b"plain", b"URL": b"db://pass word@host"}
    assert pod.environ("launched") == both
    assert pod.environ("native") == {**both, b"OTHER": b"abc", b"USES": b"plain text"}
    for container in ("launched", "native"):
        assert pod.argv(container) == [b"/envdump", b"sleep"]
        assert pod.status(container)["NSpid"][-1] == "1"
        assert pod.status(container)["Name"] == ["envdump"]
        files = pod.files(container=container)
        assert {name: file.content for name, file in files.items()} == {"password": b"pass word"}
    assert pod.mounts("launched") == {"/run/secret-injector": "ro", pods.FILES: "ro"}
    assert pod.mounts("native") == {pods.FILES: "ro"}
