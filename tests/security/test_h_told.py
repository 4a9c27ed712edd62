"""H: every decision says who asked for what, in lines that are bounded and hold no value."""

import json

from tests import asking
from webhook.core import audit, review

CANARY = "c4n4ry-value"
USER = "system:serviceaccount:kube-system:replicaset-controller"
OWNERS = [
    {"kind": "Node", "name": "other", "controller": False},
    {"kind": "ReplicaSet", "name": "app-7d4f", "controller": True},
]


def asked(pod, **fields):
    """Return the request of a review, as the API server fills it."""
    request = {
        "uid": "1",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": "shop",
        "userInfo": {"username": USER},
        "object": pod,
        **fields,
    }
    body = {"apiVersion": review.API_VERSION, "kind": "AdmissionReview", "request": request}
    return review.parse(json.dumps(body).encode())


def owned(annotations, **container):
    """Return a pod that a ReplicaSet made, with a ServiceAccount of its own."""
    pod = asking.pod(annotations, **container)
    pod["metadata"] |= {"name": "app-7d4f-x", "ownerReferences": OWNERS}
    pod["spec"]["serviceAccountName"] = "checkout"
    return pod


def recorded(pod, *objects, **fields):
    """Return log fields and audit annotations of the decision about a pod."""
    request = asked(pod, **fields)
    outcome = asking.outcome(pod, *objects)
    return audit.fields(request, outcome), audit.notes(outcome)


WHO = {
    "uid": "1",
    "kind": "Pod",
    "namespace": "shop",
    "name": "app-7d4f-x",
    "operation": "CREATE",
    "dry_run": False,
    "user": USER,
    "service_account": "checkout",
    "owner": "ReplicaSet/app-7d4f",
}


def test_an_injection_says_who_decided_on_what():
    """User, ServiceAccount and owner beside stores and policies, in the log and the audit event."""
    watching = asking.policy("watch", action="Audit", rules={"keys": {"deny": ["A"]}})
    pod = owned({"env": "A: '#{vault:kv/a#b}'"})

    line, notes = recorded({**pod}, asking.vault(), watching, name="app-7d4f-x")

    found = "SI-121 for A "
    assert [each[: len(found)] for each in line.pop("audits")] == [found]
    assert line == WHO | {
        "containers": 1,
        "variables": 1,
        "files": 0,
        "reads": 1,
        "plan_bytes": line["plan_bytes"],
        "versions": ["ClusterSecretStore vault@"],
        "stores": ["vault"],
        "policies": ["watch"],
        "codes": ["SI-121"],
        "outcome": "inject",
        "reason": "injected",
        "warnings": 0,
    }
    assert notes.pop("audits").startswith(found)
    assert notes == {
        "outcome": "inject",
        "codes": "SI-121",
        "stores": "vault",
        "policies": "watch",
    }


def test_a_denial_says_which_codes_stores_and_policies():
    """What was refused is as accountable as what was injected."""
    forbids = asking.policy("no-vault", rules={"stores": {"deny": ["vault"]}})

    line, notes = recorded(
        owned({"env": "A: '#{vault:kv/a#b}'"}), asking.vault(), forbids, name="app-7d4f-x"
    )

    assert line == WHO | {
        "stores": ["vault"],
        "policies": ["no-vault"],
        "codes": ["SI-121"],
        "outcome": "deny",
        "reason": "refused",
        "warnings": 0,
    }
    assert notes == {
        "outcome": "deny",
        "reason": "refused",
        "codes": "SI-121",
        "stores": "vault",
        "policies": "no-vault",
    }


def test_a_second_look_writes_the_same_annotations():
    """The API server overwrites no audit annotation: reinvocation must not try to."""
    first = owned({"env": "A: '#{vault:kv/a#b}'"})
    outcome = asking.outcome(first, asking.vault())
    second = asking.outcome(asking.patched(first, outcome), asking.vault())

    assert (outcome.reason, second.reason) == ("injected", "already_injected")
    assert audit.notes(second) == audit.notes(outcome)


def test_no_text_of_a_review_makes_the_record_large():
    """Names are cut and lists end in a number, whatever the size of what was sent."""
    big = "n" * 2**20
    pod = owned({"env": "A: '#{vault:kv/a#b}'"})
    pod["metadata"]["ownerReferences"] = [{"kind": big, "name": big, "controller": True}]
    pod["spec"]["serviceAccountName"] = big
    request = asked(pod, name=big, namespace=big, userInfo={"username": big})
    facts = {
        "codes": ["SI-121"],
        "stores": [big] * 5000,
        "policies": [f"p{number}" for number in range(5000)],
        "audits": [big] * 5000,
    }
    outcome = review.Outcome(kind="deny", reason="refused", facts=facts)

    line, notes = audit.fields(request, outcome), audit.notes(outcome)

    assert len(json.dumps(line)) < 32 * 1024
    assert line["policies"][-1] == "and 4968 more"
    assert {len(text) for text in notes.values()} <= set(range(audit.MAX_ANNOTATION + 1))
    assert line["user"] == "n" * 253 + "..."


def test_an_object_of_any_shape_gets_its_line():
    """A neighbour may send anything as a pod; the record is made of what can be read."""
    for pod in ({}, {"metadata": "x", "spec": 1}, {"metadata": {"ownerReferences": [1, {}]}}):
        outcome = review.Outcome(kind="skip", reason="not_asked")
        line = audit.fields(asked(pod), outcome)

        assert (line["service_account"], line["owner"]) == ("default", "")


def test_names_in_the_record_are_printable():
    """A user name from a foreign issuer cannot break a line or colour a terminal."""
    outcome = review.Outcome(kind="skip", reason="not_asked")

    line = audit.fields(asked({}, userInfo={"username": "a\n\x1b[31mb\u202e"}), outcome)

    assert line["user"] == "a\\n\\x1b[31mb\\u202e"


def test_no_value_is_in_the_record():
    """Neither the log's fields nor the audit annotations quote what a variable holds."""
    pod = owned(
        {"env": f"A: '#{{vault:kv/a#b}}'\nB: {CANARY}"},
        env=[{"name": "OWN", "value": CANARY}],
        args=[CANARY],
    )

    assert CANARY not in repr(recorded(pod, asking.vault()))


def test_the_answer_carries_the_annotations():
    """The API server finds them under auditAnnotations, and none where there are none."""
    request = asked(owned({}))
    outcome = review.Outcome(kind="allow", reason="valid")

    told = json.loads(review.answer(request, outcome, audit.notes(outcome)))["response"]
    silent = json.loads(review.answer(request, outcome))["response"]

    assert told == {
        "uid": "1",
        "allowed": True,
        "auditAnnotations": {"outcome": "allow", "reason": "valid"},
    }
    assert silent == {"uid": "1", "allowed": True}
