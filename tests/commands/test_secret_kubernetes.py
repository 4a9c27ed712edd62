"""`secret` on a cluster: Secrets are made and changed, and nothing of others' is lost by it."""

import base64
import json

import pytest

from tests.commands.desk import CANARY
from tests.server.secret_api import TABLE

SECRETS = "/api/v1/namespaces/shop/secrets"
OWNER = {"kind": "SealedSecret", "name": "payment", "controller": True}
NOTES = [
    ({"metadata": {"ownerReferences": [OWNER]}}, "SealedSecret payment owns it"),
    (
        {"metadata": {"annotations": {"reconcile.external-secrets.io/data-hash": "1"}}},
        "External Secrets keeps it",
    ),
    ({"metadata": {"annotations": {"cert-manager.io/issuer-name": "a"}}}, "cert-manager keeps it"),
    ({"type": "helm.sh/release.v1"}, "Helm keeps a release in it"),
    ({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}, "Helm manages it"),
    (
        {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": CANARY}}},
        "kubectl applied it from a manifest",
    ),
]


def test_a_secret_lives_from_creation_to_deletion(desk):
    """Set, set more, look, list, rotate, drop a key, delete: without any definition of a store."""
    made = desk.secret("set", "payment", "api-key", stdin=f"{CANARY}\n")
    whole = desk.there("payment")
    more = desk.secret("set", "payment", "--data", "user=app")
    masked = desk.secret("get", "payment")
    revealed = desk.secret("get", "payment", "api-key", "--reveal")
    listed = desk.secret("list", "pay")
    history = desk.secret("history", "payment", "-o", "json")
    rotated = desk.secret("rotate", "payment", "api-key", "--rule", "hex:40")
    after = desk.values("payment")
    dropped = desk.secret("delete", "payment", "api-key")
    left = desk.values("payment")
    gone = desk.secret("delete", "payment")

    assert (made.status, made.out, made.err) == (0, "", "payment is written\n")
    encoded = base64.b64encode(CANARY.encode()).decode()
    assert whole.pop("metadata")["name"] == "payment"
    assert whole == {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "data": {"api-key": encoded},
    }
    assert [done.status for done in (more, rotated, dropped, gone)] == [0] * 4
    assert masked.out.splitlines()[1:] == [
        "api-key  13     ***",
        "user     3      ***",
    ]
    assert revealed.out == CANARY
    assert listed.out == "payment\n"
    assert json.loads(history.out) == [
        {
            "version": "",
            "created": "2026-01-31T12:00:00Z",
            "state": "",
            "keys": ["api-key", "user"],
        }
    ]
    assert (len(after["api-key"]), after["user"]) == (40, "app")
    assert (left, desk.there("payment")) == ({"user": "app"}, None)


def test_bytes_that_are_no_text_come_out_as_they_went_in(desk):
    """A key of a Secret is bytes."""
    (desk.folder / "key").write_bytes(b"\0\xff\n")

    desk.secret("set", "payment", "key=@key")

    assert desk.secret("get", "payment", "key", "--reveal").out == "\0\udcff\n"


def test_names_are_asked_for_without_a_value_page_by_page(desk):
    """Not even annotations come: kubectl keeps what it applied in one of them."""
    path = f"{SECRETS}/"
    for number in range(501):
        name = f"s{number:03}"
        metadata = {"name": name, "annotations": {"kubectl.kubernetes.io/l": CANARY}}
        desk.cluster.api.objects[path + name] = {"metadata": metadata, "type": "Opaque"}

    done = desk.secret("list")

    assert done.out.split() == [f"s{number:03}" for number in range(501)]
    assert desk.cluster.api.seen == [("list", SECRETS)] * 2
    assert desk.cluster.api.queries == [
        {"limit": "500", "includeObject": "None"},
        {"limit": "500", "includeObject": "None", "continue": "500"},
    ]
    assert {headers["Accept"] for headers in desk.cluster.api.headers} == {TABLE}


def test_all_else_of_a_secret_stays_as_it_is(desk):
    """Type, labels, annotations, owners, identity and fields that we do not know."""
    metadata = {
        "labels": {"app": "shop"},
        "annotations": {"note": CANARY},
        "ownerReferences": [OWNER],
    }
    desk.put(
        "tls",
        {"tls.crt": "old", "tls.key": CANARY},
        type="kubernetes.io/tls",
        metadata=metadata,
        of2031="kept",
    )
    before = desk.there("tls")

    done = desk.secret("set", "tls", "tls.crt", stdin="new")

    after = desk.there("tls")
    assert done.status == 0
    assert desk.values("tls") == {"tls.crt": "new", "tls.key": CANARY}
    for item in (before, after):
        del item["data"], item["metadata"]["resourceVersion"]
    assert after == before


def test_a_change_that_changes_nothing_writes_nothing(desk):
    """Setting what is there already is no update that controllers would see."""
    desk.put("payment", {"api-key": CANARY})

    done = desk.secret("set", "payment", "api-key", stdin=CANARY)

    assert (done.status, desk.asked("put", "post", "delete")) == (0, 0)


@pytest.mark.parametrize(
    ("verb", "argv", "left"),
    [
        ("put", ("set", "payment", "--data", "user=app"), {"a": "1", "b": "2", "user": "app"}),
        ("delete", ("delete", "payment", "--force"), None),
    ],
)
def test_a_write_that_somebody_made_in_between_is_seen(desk, verb, argv, left):
    """The server refuses ours under the old version, and it is made again on top of theirs."""
    desk.put("payment", {"a": "1"})
    desk.cluster.api.faults.append((verb, meanwhile(desk, {"a": "1", "b": "2"})))

    done = desk.secret(*argv)

    assert done.status == 0
    assert (desk.there("payment") and desk.values("payment")) == left
    assert desk.asked(verb) == 2


def test_what_somebody_else_created_or_deleted_meanwhile_is_begun_anew(desk):
    """A name that was free is taken, a Secret that was there is gone: both end as asked."""
    desk.cluster.api.faults.append(("post", meanwhile(desk, {"theirs": "1"})))
    created = desk.secret("set", "payment", "--data", "ours=2")
    both = desk.values("payment")

    async def deleted(_request):
        await desk.cluster.api.delete(SECRETS, "payment")

    desk.cluster.api.faults.append(("put", deleted))
    again = desk.secret("set", "payment", "--data", "ours=3")

    assert (created.status, both) == (0, {"theirs": "1", "ours": "2"})
    assert (again.status, desk.values("payment")) == (0, {"ours": "3"})


def test_who_never_gets_through_stops_and_says_so(desk):
    """Five times somebody else was faster."""
    desk.put("payment", {"n": "0"})
    for number in range(1, 9):
        desk.cluster.api.faults.append(("put", meanwhile(desk, {"n": str(number)})))

    done = desk.secret("set", "payment", "ours", stdin="1")

    assert done.status == 7
    assert done.err.splitlines()[0] == (
        "SI-503 k8s shop/payment: somebody else changed the Secret meanwhile, 5 times"
    )
    assert desk.values("payment") == {"n": "5"}


def test_apply_makes_a_namespace_hold_what_a_file_says(desk):
    """A dry run writes nothing, a second run changes nothing, generated values stay."""
    desk.put("payment", {"api-key": "old", "spare": "x"})
    secrets = {
        "payment": {"api-key": CANARY},
        "session": {"key": {"generate": "hex:20"}},
    }
    (desk.folder / "secrets.yaml").write_text(json.dumps({"secrets": secrets}))
    lines = "~ payment  -spare ~api-key\n+ session  +key\n"

    dry = desk.secret("apply", "-f", "secrets.yaml", "--dry-run")
    written = desk.asked("put", "post", "delete")
    done = desk.secret("apply", "-f", "secrets.yaml")
    first = desk.values("session")
    again = desk.secret("apply", "-f", "secrets.yaml")

    assert (dry.out, dry.err, written) == (lines, "2 of 2 secrets would change\n", 0)
    assert (done.out, done.err) == (lines, "2 of 2 secrets changed\n")
    assert (again.out, again.err) == ("", "0 of 2 secrets changed\n")
    assert desk.values("payment") == {"api-key": CANARY}
    assert (desk.values("session"), len(first["key"])) == (first, 20)


@pytest.mark.parametrize(("fields", "clause"), NOTES)
def test_who_else_keeps_a_secret_is_said_and_nothing_refused(desk, fields, clause):
    """One line of warning, since a controller may undo the change."""
    desk.put("payment", {"a": "1"}, **fields)

    done = desk.secret("set", "payment", "a", stdin="2")

    assert done.status == 0
    assert desk.values("payment") == {"a": "2"}
    assert done.err.splitlines() == [
        f"warning: k8s shop/payment: {clause}, and may undo this",
        "payment is written",
    ]


def test_who_keeps_secrets_by_hand_hears_no_warning(desk):
    """Neither kubectl create nor its label is a controller."""
    labels = {"app.kubernetes.io/managed-by": "kubectl", "app": "shop"}
    desk.put("payment", {"a": "1"}, metadata={"labels": labels})

    done = desk.secret("rotate", "payment", "a")

    assert (done.status, done.err) == (0, "payment is written\n")


def meanwhile(desk, data):
    """Return a fault by which somebody else writes before the request is served."""

    async def fault(_request):
        await desk.cluster.api.put_secret("shop", "payment", data)

    return fault
