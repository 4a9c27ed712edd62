"""B: a review that no API server sends is a 400 with its own counter, never a fault of ours."""

import copy
import json

from tests.bench import review
from tests.chart.manifests import CHART
from tests.server.process import running

WRONG = (None, 1, "x", [], {}, [1], [{}])
COUNTER = "secret_injector_webhook_malformed_reviews_total"


def pod():
    """A pod with everything in it that a decision looks at."""
    made = review.pod()
    made["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "a", "controller": True}]
    made["metadata"]["labels"] = {"a": "b"}
    made["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
    made["spec"]["securityContext"] = {"runAsUser": 1, "supplementalGroups": [1]}
    first = made["spec"]["containers"][0]
    first["env"] = [{"name": "Z", "value": "#{vault:kv/shop/db#x}"}]
    first |= {
        "args": ["x"],
        "securityContext": {"runAsUser": 5},
        "volumeMounts": [{"name": "v", "mountPath": "/x"}],
        "livenessProbe": {"exec": {"command": ["a"]}},
        "lifecycle": {"preStop": {"exec": {"command": ["b"]}}},
    }
    return made


def places(node, path=()):
    """Yield the path of every part of an object."""
    if path:
        yield path
    inner = ()
    if isinstance(node, dict | list):
        inner = node.items() if isinstance(node, dict) else enumerate(node)
    for key, part in inner:
        yield from places(part, (*path, key))


def with_wrong(node, path, wrong):
    """Return the object with one part replaced."""
    made = copy.deepcopy(node)
    part = made
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = wrong
    return made


def test_no_wrong_type_in_a_pod_is_a_fault_of_ours(tmp_path):
    """Every part of a pod replaced by every wrong type: answered, or a 400 that is counted."""
    good = pod()
    statuses = []
    with running(tmp_path) as webhook:
        connection = webhook.connect()
        for path in places(good):
            for wrong in WRONG:
                body = review.body(with_wrong(good, path, wrong))
                statuses.append(webhook.post(body, connection=connection)[0])
        connection.close()
        malformed = webhook.metric(COUNTER)
        log = webhook.log.read_text()

    assert set(statuses) == {200, 400}
    assert malformed == statuses.count(400)
    assert '"fault"' not in log


def test_no_wrong_type_in_a_review_is_a_fault_of_ours(tmp_path):
    """The same for what is around the object."""
    good = json.loads(review.body())
    with running(tmp_path) as webhook:
        statuses = {
            webhook.post(json.dumps(with_wrong(good, path, wrong)).encode(), path=page)[0]
            for path in places(good)
            if path[:2] != ("request", "object")
            for wrong in WRONG
            for page in ("/mutate", "/validate")
        }
        log = webhook.log.read_text()

    assert statuses == {200, 400}
    assert '"fault"' not in log


def test_names_of_two_megabytes_are_not_sent_back(tmp_path):
    """Neither an annotation's, nor the object's, nor the review's uid; nor do they fill the log."""
    long = "x" * 2_000_000
    made = review.pod()
    made["metadata"]["annotations"] = {f"secret-injector.io/{long}": "a"}
    bodies = [review.body(made)]
    for field in ("uid", "name", "namespace", "operation"):
        request = json.loads(review.body())
        request["request"][field] = long
        bodies.append(json.dumps(request).encode())
    with running(tmp_path) as webhook:
        answers = [webhook.post(body)[2] for body in bodies]
        lines = webhook.log.read_bytes().splitlines()

    assert max(map(len, answers)) < 64 * 1024
    assert max(map(len, lines)) < 64 * 1024


def test_no_alert_counts_what_strangers_send():
    """The alert about faults looks at faults alone, and none looks at malformed reviews."""
    text = (CHART / "templates/prometheus-rule.yaml").read_text()
    expressions = [line for line in text.splitlines() if "expr:" in line]

    assert any("webhook_faults_total" in line for line in expressions)
    assert not any("malformed" in line or "rejected" in line for line in expressions)
