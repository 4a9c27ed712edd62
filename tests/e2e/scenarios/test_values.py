"""Scenario: values that text formats, shells and templates tend to change."""

from __future__ import annotations

from tests.e2e.scenarios import pods

KIB = 1024
CARRIED = {
    "newlines": b"\ntwo\nlines\n",
    "double": b'"double" and `back` \\n \\',
    "dollar": b"$(HOME) ${HOME} $HOME $$(HOME) %d",
    "expression": b"#{k8s:odd#double} ##{x} {{ y }}",
    "unicode": "žluťoučký 🐎 \u202e\ufeff".encode(),
    "spaces": b"  both ends\t ",
    "yaml": b"---\na: [1, 0x1f, ~]\n# no comment",
    "equals": b"A=B\nC='",
}
"""What both ways carry, but for `equals`, which holds a single quote."""

ONLY_LAUNCHED = {
    "empty": b"",
    "single": b"it's",
    "crlf": b"two\r\nlines",
    "latin": b"caf\xe9=\x01\xff",
    "large": b"0123456789abcdef" * (100 * KIB // 16),
}
BINARY = {"binary": bytes(range(256)) * 8, "zeroes": b"\0" * 300 * KIB}
REFUSED = (
    ("CRLF", "native", "value holds CR LF, which the kubelet would turn into LF"),
    ("EMPTY", "native", "value is empty, which the kubelet reads as missing"),
    ("LARGE", "native", "value takes 102400 bytes, an env file's limit is 32768"),
    ("LATIN", "native", "value is not UTF-8, which the container runtime's interface wants"),
    ("NUL", "native", "value holds a NUL byte, which no environment can carry"),
    ("SINGLE", "native", "value holds a single quote, for which an env file has no spelling"),
    ("HUGE", "launched", "variable takes 131078 bytes, the kernel passes 131072"),
    ("NUL", "launched", "value holds a NUL byte, which no environment can carry"),
)
NATIVE = {name: value for name, value in CARRIED.items() if name != "equals"}


def variables(store, names):
    """Return an annotation's map from the upper-case name to its reference."""
    return {name.upper(): f"#{{{store}#{name}}}" for name in names}


def refusal(name, container, what):
    """Return the lines of the termination message about one variable."""
    place = f"for {name} in {container} (annotation secret-injector.io/env.{container})"
    way = (
        "put the value into a file"
        if container == "launched"
        else "use a file, or env-mode launcher"
    )
    return f"SI-602 {place}: the {what}", f"       hint: {way}"


def upper(values):
    """Return the values as an environment shows them."""
    return {name.upper().encode(): value for name, value in values.items()}


def test_the_launcher_carries_every_text_byte_for_byte(tenant, inside):
    """Newlines, quotes, expansions, expressions, no text at all and 100 KiB stay as they are."""
    values = CARRIED | ONLY_LAUNCHED
    tenant.put_secret("odd", values)
    texts = {name: value.decode() for name, value in values.items() if name != "latin"}
    tenant.put_vault("odd", **texts)
    tenant.put_local({"odd": {"latin": values["latin"], **texts}})
    tenant.apply(
        *(
            pods.pod(
                store,
                pods.app(command=pods.SLEEP),
                annotations=pods.asking(env=variables(path, names)),
            )
            for store, path, names in (
                ("k8s", "k8s:odd", values),
                ("vault", f"vault:secret/{tenant.namespace}/odd", texts),
                ("local", "local:odd", values),
            )
        )
    )

    assert inside("k8s").environ() == upper(values)
    assert inside("vault").environ() == upper({n: values[n] for n in texts})
    assert inside("local").environ() == upper(values)


def test_the_kubelet_carries_what_its_format_can_byte_for_byte(tenant, inside):
    """Native variables hold newlines, double quotes, expansions and 32 KiB as they are."""
    values = NATIVE | {"large": b"x" * (32 * KIB)}
    tenant.put_secret("odd", values)
    annotations = pods.asking(env=variables("k8s:odd", values))
    tenant.apply(pods.pod("native", pods.bare(), annotations=annotations))

    assert inside("native").environ() == upper(values)


def test_files_hold_any_bytes(tenant, inside):
    """What no variable can hold, a file can: NUL, no text at all, 300 KiB."""
    values = CARRIED | ONLY_LAUNCHED | BINARY
    tenant.put_secret("odd", values)
    files = {name: f"#{{k8s:odd#{name}}}" for name in values}
    tenant.apply(pods.pod("files", pods.bare(), annotations=pods.asking(files=files)))

    found = inside("files").files()

    assert {name: file.content for name, file in found.items()} == values


def test_a_file_holds_a_value_of_one_mib(tenant, inside):
    """The largest value that there is, from Vault and from a Secret, which holds no more either."""
    large = b"0123456789abcdef" * (1024 * KIB // 16)
    tenant.put_secret("large", {"value": large})
    tenant.put_vault("large", value=large.decode())
    paths = {"k8s": "k8s:large", "vault": f"vault:secret/{tenant.namespace}/large"}
    files = {store: f"#{{{path}#value}}" for store, path in paths.items()}
    tenant.apply(pods.pod("large", pods.bare(), annotations=pods.asking(files=files)))

    found = inside("large").files()

    assert {name: file.content == large for name, file in found.items()} == {
        "k8s": True,
        "vault": True,
    }


def test_values_that_cannot_be_carried_are_refused_and_the_application_never_starts(tenant):
    """Each is named with SI-602 in the termination message; none is changed or left out."""
    refused = ONLY_LAUNCHED | {"nul": b"a\0b"}
    tenant.put_secret("odd", refused | {"huge": b"x" * (128 * KIB)})
    annotations = pods.asking(
        env__native=variables("k8s:odd", refused),
        env__launched=variables("k8s:odd", ["nul", "huge"]),
    )
    tenant.apply(
        pods.pod(
            "refused",
            pods.bare("native"),
            pods.app("launched", command=["true"]),
            annotations=annotations,
            restartPolicy="Never",
        )
    )

    ended = tenant.cluster.wait_finished("refused", tenant.namespace)

    assert ended["status"]["phase"] == "Failed"
    (ours,) = ended["status"]["initContainerStatuses"]
    assert ours["state"]["terminated"]["exitCode"] == 8
    assert ours["state"]["terminated"]["message"].splitlines() == [
        line for problem in REFUSED for line in refusal(*problem)
    ]
    for status in ended["status"]["containerStatuses"]:
        assert (status["state"], status.get("containerID")) == (
            {"waiting": {"reason": "PodInitializing"}},
            None,
        )
