"""`secret` on a cluster: what is refused, in our words, with what to do, and without a value."""

import json

import pytest

from tests.commands.desk import CANARY
from tests.server.secret_api import refusal

SET = ("set", "payment", "api-key")
CAN_I = "kubectl auth can-i {} secrets -n shop"
OR_ELSE = "if it says yes, a quota or an admission controller refused it"
ANSWERS = [
    ("get", 401, 5, "SI-401 k8s shop/payment: the API server does not accept who we are"),
    ("get", 403, 5, "SI-403 k8s shop/payment: the API server does not let us get it"),
    ("put", 403, 5, "SI-403 k8s shop/payment: the API server does not let us update it"),
    ("put", 400, 8, "SI-415 k8s shop/payment: the API server refuses the request with 400"),
    ("put", 413, 2, "SI-109 k8s shop/payment: the Secret is larger than the API server takes"),
    ("put", 422, 2, "SI-119 k8s shop/payment: Kubernetes finds the Secret wrong"),
    ("put", 429, 7, "SI-429 k8s shop/payment: the API server asks us to slow down"),
    ("put", 500, 7, "SI-503 k8s shop/payment: the API server fails with 500"),
]
NAMES = [
    (("get", "shop/db"), '"shop/db" is no name of a Secret'),
    (("get", "Payment"), '"Payment" is no name of a Secret'),
    (("get", "a..b"), '"a..b" is no name of a Secret'),
    (("get", "a" * 254), f'"{"a" * 254}" is no name of a Secret'),
    (("list", "-n", "shop/secrets"), '"shop/secrets" is no name of a namespace'),
]


def answering(status):
    """Return a fault that answers with a status."""

    async def fault(_request):
        return refusal(status, "c4n4ry-of-a-reason", fields=["c4n4ry of a field"])

    return fault


@pytest.mark.parametrize(("verb", "status", "exit_status", "line"), ANSWERS)
def test_what_the_server_refuses_is_said_in_our_words(desk, verb, status, exit_status, line):
    """Nothing was written, and no word of the server's message is shown."""
    desk.put("payment", {"api-key": "old"})
    desk.cluster.api.faults.append((verb, answering(status)))

    done = desk.secret(*SET, stdin=CANARY)

    assert (done.status, done.out, done.err.splitlines()[0]) == (exit_status, "", line)
    assert desk.values("payment") == {"api-key": "old"}


@pytest.mark.parametrize(
    ("verb", "argv", "can_i"),
    [
        ("list", ("list",), "list"),
        ("get", ("history", "payment"), "get"),
        ("post", ("set", "new", "--data", "a=1"), "create"),
        ("put", ("rotate", "payment", "a"), "update"),
        ("delete", ("delete", "payment", "--force"), "delete"),
    ],
)
def test_a_missing_right_is_named_by_how_to_ask_for_it(desk, verb, argv, can_i):
    """The hint is a command that says yes or no."""
    desk.put("payment", {"a": "1"})
    desk.cluster.api.faults.append((verb, answering(403)))

    done = desk.secret(*argv)

    assert done.status == 5
    assert done.err.splitlines()[-1] == f"       hint: {CAN_I.format(can_i)}; {OR_ELSE}"


def test_who_may_read_one_secret_and_list_none_is_told_that_it_is_missing(desk):
    """What the nearest name would have been is not worth an error of its own."""
    desk.cluster.api.faults.append(("list", answering(403)))

    done = desk.secret("get", "payment")

    assert (done.status, done.err.splitlines()[0]) == (6, "SI-404 payment: no such secret")


def test_a_namespace_that_is_not_there_is_named(desk):
    """Only creating finds out: reading from it and listing it find nothing, as for kubectl."""
    done = desk.secret(*SET, "-n", "shopp", stdin=CANARY)

    assert done.status == 6
    assert done.err.splitlines()[0] == "SI-404 k8s shopp/payment: there is no namespace shopp"


def test_a_secret_that_lacks_the_keys_of_its_type_is_refused_by_their_names(desk):
    """The fields come from the server's answer, its sentences do not."""
    desk.put("tls", {"tls.crt": "x", "tls.key": CANARY}, type="kubernetes.io/tls")

    done = desk.secret("set", "tls", "--replace", "key", stdin=CANARY)

    assert done.status == 2
    assert done.err.splitlines()[0] == (
        "SI-119 k8s shop/tls: Kubernetes finds the Secret wrong: data[tls.crt], data[tls.key]"
    )


def test_an_immutable_secret_is_not_even_tried_and_can_be_deleted(desk):
    """Kubernetes would refuse the change; a deletion it takes."""
    desk.put("payment", {"api-key": "old", "b": "1"}, immutable=True)

    history = desk.secret("history", "payment")
    changed = desk.secret(*SET, stdin=CANARY)
    dropped = desk.secret("delete", "payment", "b")
    asked = desk.asked("put")
    deleted = desk.secret("delete", "payment")

    assert history.out.splitlines()[1].split() == [
        "2026-01-31T12:00:00Z",
        "immutable",
        "api-key,",
        "b",
    ]
    for refused in (changed, dropped):
        assert refused.status == 2
        assert refused.err.splitlines()[0] == (
            "SI-112 k8s shop/payment: it is immutable: nobody can change its values"
        )
    assert (asked, deleted.status, desk.there("payment")) == (0, 0, None)


@pytest.mark.parametrize(
    "argv", [("rollback", "payment", "--to", "1"), ("get", "payment", "--version", "1")]
)
def test_versions_are_refused_since_kubernetes_keeps_none(desk, argv):
    """With a hint at what keeps some."""
    desk.put("payment", {"api-key": CANARY})

    done = desk.secret(*argv)

    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines() == [
        "SI-112 k8s shop/payment: Kubernetes keeps no versions of a Secret, only what it holds now",
        "       hint: a file for secret apply can hold what may be needed again",
    ]


@pytest.mark.parametrize(("argv", "what"), NAMES)
def test_a_name_that_no_secret_can_have_is_refused_before_the_server_is_asked(desk, argv, what):
    """It would be a path of the API otherwise."""
    done = desk.secret(*argv)

    assert (done.status, done.err.splitlines()[0]) == (2, f"SI-104 {what}")
    assert desk.cluster.api.seen == []


def test_all_that_is_wrong_with_a_change_is_said_at_once(desk):
    """Keys with odd characters, and more bytes than a Secret takes."""
    (desk.folder / "a").write_bytes(b"x" * 600_000)

    done = desk.secret("set", "payment", "a=@a", "b=@a", "c d=@a", "..=@a")

    assert done.status == 2
    assert done.err.splitlines()[::2] == [
        'SI-104 payment: "c d" is no key of a Secret',
        'SI-104 payment: ".." is no key of a Secret',
        "SI-109 payment: the values have 2400000 bytes together, and a Secret takes 1048576",
    ]
    assert desk.asked("post", "put") == 0


def test_a_file_with_a_wrong_name_applies_nothing(desk):
    """All of the file is judged before the first Secret is written."""
    secrets = {"a": {"k": "1"}, "shop/db": {"k": "1"}, "z": {"k/l": CANARY}}
    (desk.folder / "secrets.yaml").write_text(json.dumps({"secrets": secrets}))

    done = desk.secret("apply", "-f", "secrets.yaml")

    assert done.status == 2
    assert done.err.splitlines()[::2] == [
        'SI-104 "shop/db" is no name of a Secret',
        'SI-104 z: "k/l" is no key of a Secret',
    ]
    assert desk.cluster.api.seen == []


def test_prune_is_refused_for_who_is_not_alone_in_a_namespace(desk):
    """Names have no folders, and others keep Secrets beside ours."""
    done = desk.secret("apply", "-f", "secrets.yaml", "--prune", "shop/")

    assert done.status == 2
    assert done.err.splitlines()[0] == (
        "SI-201 --prune: names of Secrets have no folders,"
        " and others than we keep Secrets in a namespace"
    )
    assert desk.cluster.api.seen == []
