"""Scenario: files in folders and at paths of their own, owned by the user that must own them."""

from __future__ import annotations

import pytest

from tests.e2e.scenarios import pods
from tests.e2e.testbed.images import APP_USER, BUSYBOX_APP_IMAGE
from tests.e2e.testbed.process import CommandFailedError

STAT = ["stat", "-L", "-c", "%n %a %u %F"]

OWNED = """
f=$1
[ "$(stat -L -c %u "$f")" = "$(id -u)" ] || [ "$(stat -L -c %u "$f")" = 0 ] ||
  { echo "private key file \\"$f\\" must be owned by the database user or root"; exit 1; }
case "$(stat -L -c %a "$f")" in
  ?00) cat "$f";;
  *) echo "private key file \\"$f\\" has group or world access"; exit 1;;
esac
"""
"""What PostgreSQL asks of its TLS key (src/backend/libpq/be-secure-common.c)."""


def run(tenant, pod, *command, container="app"):
    """Return what a command in a container says."""
    return tenant.cluster.exec(pod, container, *command, namespace=tenant.namespace).decode()


def checked(tenant, pod, file):
    """Return what a server says that looks at its key as PostgreSQL does."""
    script = ("sh", "-c", OWNED.replace("exit 1", "exit 0"), "sh", file)
    return run(tenant, pod, *script)


def test_single_files_lie_in_existing_folders_and_in_folders_of_their_own(tenant):
    """What the image has beside them stays, with a root file system that is only read too."""
    tenant.put_secret("placed", {"a": "first", "b": "second", "c": "third"})
    files = {
        "beside": {"value": "#{k8s:placed#a}", "path": "/etc/app.key"},
        "apart": {"value": "#{k8s:placed#b}", "path": "/srv/some/where/b", "mode": "0440"},
        "in-a-volume": {"value": "#{k8s:placed#c}", "path": "/data/conf/c"},
        "plain": "#{k8s:placed#a}",
    }
    app = pods.app(
        securityContext={"readOnlyRootFilesystem": True},
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    )
    tenant.apply(
        pods.pod(
            "placed",
            app,
            annotations=pods.asking(files=files, files_path="/etc/app/"),
            volumes=[{"name": "data", "emptyDir": {}}],
        )
    )
    tenant.ready("placed")

    names = ("/etc/app.key", "/srv/some/where/b", "/data/conf/c", "/etc/app/plain")
    assert [run(tenant, "placed", "cat", name) for name in names] == [
        "first", "second", "third", "first"
    ]  # fmt: skip
    assert run(tenant, "placed", *STAT, *names).splitlines() == [
        f"{name} 440 65532 regular file" for name in names
    ]
    assert run(tenant, "placed", "ls", "/etc").split() == [
        *("app", "app.key", "group", "hostname", "hosts", "passwd", "resolv.conf"),
    ]
    with pytest.raises(CommandFailedError, match="Read-only file system"):
        run(tenant, "placed", "sh", "-c", "echo x >/etc/app.key")


def test_a_file_of_its_own_is_there_again_when_its_container_starts_again(tenant):
    """The mount of one file is made anew for each start of the container."""
    tenant.put_secret("again", {"a": "value"})
    files = {"a": {"value": "#{k8s:again#a}", "path": "/srv/a"}}
    once = "cat /srv/a; [ -e /dev/termination-log ] && [ -s /run/mark/x ] && exec sleep 1000000"
    once += "; echo x >/run/mark/x; exit 1"
    tenant.apply(
        pods.pod(
            "again",
            pods.app(
                command=["sh", "-c", once],
                volumeMounts=[{"name": "mark", "mountPath": "/run/mark"}],
            ),
            annotations=pods.asking(files=files),
            volumes=[{"name": "mark", "emptyDir": {}}],
        )
    )
    tenant.cluster.wait(
        "Pod",
        "again",
        tenant.namespace,
        until_true=lambda pod: any(
            status["restartCount"] == 1 and status["ready"]
            for status in pod["status"].get("containerStatuses", [])
        ),
        what="ready after one restart",
    )

    assert run(tenant, "again", "cat", "/srv/a") == "value"


def test_root_reads_a_file_that_is_nobody_elses(tenant):
    """A `.pgpass` of mode 0400 for a container that runs as root with its usual capabilities."""
    tenant.put_secret("root", {"password": "hunter2"})
    files = {".pgpass": {"value": "*:*:*:*:#{k8s:root#password}", "mode": "0400"}}
    files[".pgpass"]["path"] = "/var/lib/shop/.pgpass"
    tenant.apply(
        pods.pod(
            "root",
            pods.app(securityContext={"runAsUser": 0}),
            annotations=pods.asking(files=files),
        )
    )
    tenant.ready("root")

    assert run(tenant, "root", "cat", "/var/lib/shop/.pgpass") == "*:*:*:*:hunter2"
    assert (
        run(tenant, "root", *STAT, "/var/lib/shop/.pgpass")
        == "/var/lib/shop/.pgpass 400 65532 regular file\n"
    )


def test_run_as_gives_the_files_to_the_user_of_the_image(tenant):
    """PostgreSQL refuses a key of another user; with run-as the key is its own and not shared."""
    tenant.put_secret("server", {"key": "-----KEY-----"})
    app = pods.app(image=BUSYBOX_APP_IMAGE, command=["sh", "-c", pods.SLEEP[2]])
    files = {
        "server.key": "#{k8s:server#key}",
        "placed": {"value": "#{k8s:server#key}", "path": "/var/lib/server/server.key"},
    }
    asks = {"files": files, "env": {"KEY": "#{k8s:server#key}"}}
    tenant.apply(
        pods.pod("without", app, annotations=pods.asking(**asks)),
        pods.pod("with", app, annotations=pods.asking(**asks, run_as=str(APP_USER))),
    )
    tenant.ready("without")
    tenant.ready("with")

    for file in (f"{pods.FILES}/server.key", "/var/lib/server/server.key"):
        assert checked(tenant, "without", file) == (
            f'private key file "{file}" must be owned by the database user or root\n'
        )
        assert checked(tenant, "with", file) == "-----KEY-----"
        assert run(tenant, "with", *STAT, file) == f"{file} 400 {APP_USER} regular file\n"
    assert run(tenant, "with", "id", "-u") == f"{APP_USER}\n"


def test_an_override_takes_the_place_of_what_a_chart_wrote(tenant, inside):
    """The Secret that the chart names need not even exist."""
    tenant.put_secret("mine", {"password": "hunter2"})
    entry = {"valueFrom": {"secretKeyRef": {"name": "of-the-chart", "key": "password"}}}
    env = {"PASSWORD": {"value": "#{k8s:mine#password}", "override": True}}
    app = pods.app(command=pods.SLEEP, env=[{"name": "PASSWORD", **entry}])
    for mode in ("launcher", "native"):
        tenant.apply(pods.pod(mode, app, annotations=pods.asking(env=env, env_mode=mode)))

    assert inside("launcher").environ() == {b"PASSWORD": b"hunter2"}
    assert inside("native").environ() == {b"PASSWORD": b"hunter2"}
