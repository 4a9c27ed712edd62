"""A4: reviews of 3 MiB are decided soon and answered briefly.

They arrive, since the API server checks the sizes of an object after it has asked us.
"""

import json
import re

import msgspec
import pytest

from tests import asking
from tests.asking import PREFIX
from tests.effort import cpu_s
from webhook.core import annotations, review, validate, yamltext
from webhook.core.catalog import Catalog

KIB, MIB = 1024, 1024 * 1024
LARGEST = 3 * MIB


def answered(pod, *objects):
    """Return the decision about a pod and the bytes of the answer."""
    asked = asking.request(pod)
    decided = asking.outcome(pod, *objects)
    return decided, review.answer(asked, decided)


def message(answer):
    """Return the denial of an answer."""
    return msgspec.json.decode(answer)["response"]["status"]["message"]


def containers(count, **fields):
    """Return a pod with so many containers of these fields."""
    pod = asking.pod({"inject": "true"}, **fields)
    pod["spec"]["containers"] = [
        {**pod["spec"]["containers"][0], "name": f"c{at}"} for at in range(count)
    ]
    return pod


def named(names, text="x"):
    """Return a pod with these annotations of ours, whatever their names."""
    pod = asking.pod()
    pod["metadata"]["annotations"] = {PREFIX + name: text for name in names}
    return pod


LARGE = {
    "one annotation": asking.pod({"env": "[" + "a," * (LARGEST // 2) + "]"}),
    "YAML within the bytes": asking.pod({"env": "[" + "a," * (100 * KIB) + "]"}),
    "YAML in many annotations": named(
        [f"env.c{at}" for at in range(60)], "[" + "a," * 2000 + "]"
    ),
    "many annotations": named([f"x{at}" for at in range(85_000)]),
    "many annotations within the bytes": named([f"x{at}" for at in range(20_000)]),
    "many containers' annotations": named([f"env.c{at}" for at in range(13_000)]),
    "a long name": named(["x" * 2_000_000]),
    "a long name within the bytes": named(["env." + "x" * 200_000]),
    "references in env": asking.pod(
        {"inject": "true"},
        env=[{"name": f"A{at}", "value": "#{" * 32_000} for at in range(48)],
    ),
    "many references in env": asking.pod(
        {"inject": "true"}, env=[{"name": f"A{at}", "value": "#{b}"} for at in range(60_000)]
    ),
    "bad names in env": asking.pod(
        {"inject": "true"}, env=[{"name": f"-{at}", "value": "#{b}"} for at in range(60_000)]
    ),
    "plain env": asking.pod(
        {"env": 'A: "#{k8s:a#x}"'},
        env=[{"name": f"B{at}", "value": "x"} for at in range(90_000)],
    ),
    "mounts": asking.pod(
        {"files": 'a: "#{k8s:a#x}"'},
        volumeMounts=[{"name": f"v{at}", "mountPath": f"/{at}"} for at in range(60_000)],
    ),
    "a list of containers": asking.pod({"containers": "c," * 120_000}),
    "every container": containers(
        128, env=[{"name": "A", "value": "#{" + "x" * 20_000 + "}"}]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_the_largest_review_costs_a_fraction_of_a_second_and_its_answer_is_small(name):
    """6.7 s of YAML and denials of 5.4 MB were reported."""
    pod = LARGE[name]
    body = json.dumps(
        {
            "apiVersion": review.API_VERSION,
            "kind": "AdmissionReview",
            "request": {
                "uid": "1",
                "kind": {"kind": "Pod", "version": "v1"},
                "operation": "CREATE",
                "namespace": "shop",
                "object": pod,
            },
        }
    ).encode()
    answers = []

    def work():
        asked = review.parse(body)
        decided = asking.outcome(pod, catalog=Catalog())
        answers.append((decided, review.answer(asked, decided)))

    assert len(body) < 4 * MIB
    assert cpu_s(work, runs=1) < 1.0
    decided, answer = answers[0]
    if decided.kind == "deny":
        assert len(answer) <= review.MAX_ANSWER_BYTES
        assert len(decided.problems) <= review.MAX_PROBLEMS


def test_annotations_of_more_than_256_kib_are_refused_unread():
    """All names and texts of our prefix count together, in bytes."""
    most = annotations.MAX_BYTES - len("env") - len("A: ''")
    fits = asking.outcome(asking.pod({"env": "A: '" + "x" * most + "'"}))
    exceeds, answer = answered(asking.pod({"env": "A: '" + "x" * (most + 1) + "'"}))
    in_bytes = asking.outcome(asking.pod({"env": "A: '" + "é" * (most // 2 + 1) + "'"}))

    assert asking.codes(fits) == ["SI-101"]  # a value of its own limit
    assert asking.codes(exceeds) == asking.codes(in_bytes) == ["SI-109"]
    assert message(answer) == (
        f"SI-109 annotations: the annotations of {PREFIX} take 262145 bytes together,"
        " the limit is 262144\n"
        "       hint: split the set, or move large values to files of their own"
    )


def test_annotations_of_others_do_not_count():
    """Only what we read is limited by us."""
    pod = asking.pod({"env": 'A: "#{k8s:a#x}"'})
    pod["metadata"]["annotations"]["other.example/x"] = "x" * 300 * KIB

    assert asking.outcome(pod).kind == "inject"


def test_yaml_has_4096_nodes_in_all_annotations_of_a_pod_together():
    """Counted while it is read: nothing is built beyond the limit."""
    half = "[" + "a," * (yamltext.MAX_NODES // 2) + "]"
    one = asking.outcome(asking.pod({"env": "{A: [" + "a," * 4090 + "]}"}))
    two, answer = answered(asking.pod({"env.app": half, "files.app": half}))

    assert asking.codes(one) == ["SI-103"]
    assert "SI-117" in asking.codes(two)
    assert "the YAML of all annotations has more than 4096 nodes" in message(answer)


def test_462_problems_are_50_and_the_number_of_the_others():
    """Nobody reads more, and they are counted to the last."""
    decided, answer = answered(named([f"x{at:04}" for at in range(462)]))
    lines = message(answer).split("\n")

    assert (len(decided.problems), decided.more) == (50, 412)
    assert len([line for line in lines if line.startswith("SI-102")]) == 50
    assert lines[-1] == (
        "SI-117 and 412 more: an answer names at most 50 problems and takes at most 32 KiB"
    )


def test_problems_of_one_value_set_are_counted_to_the_last():
    """Mistakes of an annotation's YAML, each key with one."""
    decided = asking.outcome(asking.pod({"env": "".join(f"K{at}: [x]\n" for at in range(462))}))

    assert (len(decided.problems), decided.more) == (50, 412)


@pytest.mark.parametrize("sign", ["x", '"', "\\", "\x00", "é", "\u2028", "😀"])
def test_an_answer_takes_32_kib_at_most_whatever_names_consist_of(sign):
    """Counted as they are sent: quotes, controls and other alphabets take more bytes."""
    decided, answer = answered(named([sign * 900 + str(at) for at in range(60)]))

    assert decided.kind == "deny"
    assert 8 * KIB < len(answer) <= review.MAX_ANSWER_BYTES
    assert re.search(r"and \d+ more", message(answer))


def test_a_name_of_2_mb_is_not_echoed():
    """A name is shown up to a length that any real one has."""
    _, answer = answered(named(["x" * 2_000_000]))
    _, shorter = answered(named(["x" * 200_000]))

    assert len(answer) < 2 * KIB
    assert len(shorter) < 2 * KIB
    assert "... (200030 characters)" in message(shorter)


def test_warnings_are_bounded_like_denials():
    """The API server passes on 4 KiB of them; the last says how many there are more."""
    policies = [
        asking.policy(f"p{at}", action="Warn", rules={"keys": {"deny": ["*"]}}) for at in range(30)
    ]
    decided, answer = answered(
        asking.pod({"env": "".join(f'K{at}: "#{{k8s:a#x}}"\n' for at in range(30))}), *policies
    )
    told = msgspec.json.decode(answer)["response"]["warnings"]

    assert decided.kind == "inject"
    assert sum(map(len, told)) < 4 * KIB
    assert re.fullmatch(r"SI-117 and \d+ more.*", told[-1])


def test_an_object_with_many_mistakes_is_answered_within_the_limits():
    """The validating webhook answers by the same rules."""
    raw = asking.service("shop", "app", {f"K{at}": {"valeu": "x"} for at in range(500)})
    asked = review.Request(
        uid="1",
        kind=review.Kind(kind="ServiceSecrets", group="secret-injector.io"),
        operation="CREATE",
        namespace="shop",
        name="app",
        object=raw,
    )

    decided = validate.validate(asked, Catalog())
    answer = review.answer(asked, decided)

    assert (decided.kind, len(decided.problems)) == ("deny", 50)
    assert len(answer) <= review.MAX_ANSWER_BYTES
    assert re.search(r"and \d+ more", message(answer))


def test_a_uid_of_any_length_is_no_uid():
    """An answer repeats it, so it is refused instead."""
    body = {
        "apiVersion": review.API_VERSION,
        "kind": "AdmissionReview",
        "request": {"uid": "u" * 3 * MIB, "kind": {"kind": "Pod"}, "operation": "CREATE"},
    }

    for read in (review.parse, review.head):
        with pytest.raises(review.Refused) as caught:
            read(json.dumps(body).encode())
        assert str(caught.value) == "SI-114 its uid is longer than 128 characters"
