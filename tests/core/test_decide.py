"""What an injection does to a pod: adds its parts, keeps all else, and is done after one time."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import asking, strategies
from webhook.core import patch
from webhook.core.catalog import Catalog

CLUSTER = (asking.vault(), asking.node("v1.36.0"))

# Where an injection may change a pod, and how: T3 and T4 of the threat model.
ADDED = (
    "volumeMounts",
    "volumes",
    "initContainers",
    "env",
    "securityContext",
    "supplementalGroups",
)
WRAPPED = ("command",)


def _injected(pod):
    decided = asking.outcome(pod, *CLUSTER)
    assert (decided.kind, decided.reason) == ("inject", "injected"), decided.problems
    return asking.patched(pod, decided)


def _every(pod):
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def _assert_kept(before, after, path=""):
    """Assert that everything of `before` is in `after`, in its order, at the same place."""
    name = path.rpartition("/")[2]
    if isinstance(before, dict):
        assert isinstance(after, dict)
        assert not set(after) - set(before) - set(ADDED), path
        for key, value in before.items():
            assert key in after, f"{path}/{key}"
            _assert_kept(value, after[key], f"{path}/{key}")
    elif isinstance(before, list) and name in WRAPPED:
        assert after[len(after) - len(before) :] == before
        prefix = after[: len(after) - len(before)]
        launcher = ["/run/secret-injector/launcher", "/run/secret-injector/env", "--"]
        assert prefix in ([], launcher)
    elif isinstance(before, list) and name in ADDED:
        kept = [entry for entry in before if "#{" not in str(entry) and not _is_overridden(entry)]
        left = list(after)
        for entry in kept:
            match = next(e for e in left if _is_same(entry, e))
            left = left[left.index(match) + 1 :]
            _assert_kept(entry, match, f"{path}/-")
    elif isinstance(before, list):
        assert len(before) == len(after), path
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            _assert_kept(one, other, f"{path}/{index}")
    else:
        assert before == after, path


def _is_overridden(entry):
    return isinstance(entry, dict) and entry["name"] == "OVER"


def _is_same(one, other):
    if isinstance(one, dict):
        return one["name"] == other["name"]
    return one == other


@given(strategies.pods())
def test_an_injection_keeps_everything_that_was_there(pod):
    """Nothing is removed but entries that are evaluated or overridden, and nothing else changes.

    One annotation is added: that the volume holds nothing for which a node must be kept.
    """
    before = copy.deepcopy(pod)

    after = _injected(pod)

    assert pod == before
    added = after["metadata"]["annotations"].pop(patch.SAFE_TO_EVICT)
    assert added in ("secret-injector", "secret-injector,secret-injector-env")
    assert after["metadata"] == before["metadata"]
    _assert_kept(before, after)


@given(strategies.pods())
def test_no_value_of_an_env_entry_with_references_stays_in_the_pod(pod):
    """The text goes to the plan; the process gets its value, never the text."""
    after = _injected(pod)

    for container in _every(after):
        targets = pod["metadata"]["annotations"].get("secret-injector.io/containers", "app,aux")
        if container["name"] in targets.split(","):
            assert "#{" not in json.dumps(container.get("env", []))


@given(strategies.pods())
def test_a_second_decision_changes_nothing(pod):
    """`mutate(mutate(pod)) == mutate(pod)`."""
    after = _injected(pod)

    again = asking.outcome(after, *CLUSTER)

    assert (again.kind, again.reason, again.operations) == ("inject", "already_injected", ())


def _defaulted(pod):
    """What the API server leaves out and fills in, and its ServiceAccount plugin."""
    _drop_empty_lists(pod)
    spec = pod["spec"]
    spec["serviceAccountName"] = spec["serviceAccount"] = "default"
    spec.setdefault("securityContext", {})
    spec["volumes"].append({"name": "kube-api-access-x7k2p", "projected": {"sources": []}})
    for container in _every(pod):
        container["terminationMessagePath"] = "/dev/termination-log"
        container.setdefault("resources", {})
        container.setdefault("imagePullPolicy", "Always")
        path = "/var/run/secrets/kubernetes.io/serviceaccount"
        if path not in [m["mountPath"] for m in container.get("volumeMounts", [])]:
            mount = {"name": "kube-api-access-x7k2p", "mountPath": path, "readOnly": True}
            container.setdefault("volumeMounts", []).append(mount)


def _drop_empty_lists(value):
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            _drop_empty_lists(part)
    if isinstance(value, dict):
        for name in [name for name, part in value.items() if part == []]:
            del value[name]


def _mesh(pod):
    """A service mesh: a sidecar without a command, an init container in front, a volume."""
    pod["spec"]["containers"].insert(0, {"name": "proxy", "image": "mesh"})
    pod["spec"]["initContainers"].insert(0, {"name": "proxy-init", "image": "mesh"})
    pod["spec"]["volumes"].insert(0, {"name": "proxy-certs", "emptyDir": {}})


def _environment(pod):
    """A webhook that sets variables and mounts everywhere, our container not left out."""
    for container in _every(pod):
        container["env"] = [{"name": "ZONE", "value": "a"}, *container.get("env", [])]
        container.setdefault("volumeMounts", []).insert(0, {"name": "z", "mountPath": "/zone"})


def _agent(pod):
    """A tracing agent that loads itself everywhere, a cloud's identity, and a set of variables."""
    for container in _every(pod):
        container["env"] = [
            *container.get("env", []),
            {"name": "LD_PRELOAD", "value": "/agent.so"},
            {"name": "PYTHONPATH", "value": "/agent"},
            {"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1"},
        ]
        container["envFrom"] = [{"configMapRef": {"name": "proxy-settings"}}]


def _mirror(pod):
    """A registry mirror in front of every image: digests stay."""
    for container in _every(pod):
        container["image"] = container["image"].replace("registry.example", "mirror.example")


def _groups(pod):
    """A webhook that adds a group of its own."""
    context = pod["spec"].setdefault("securityContext", {})
    context["supplementalGroups"] = [99, *context.get("supplementalGroups", [])]


@given(
    strategies.pods(),
    st.permutations([_defaulted, _mesh, _environment, _agent, _mirror, _groups]),
    st.integers(1, 6),
)
def test_a_second_decision_after_others_added_their_parts_changes_nothing(pod, others, count):
    """Other webhooks and defaults add containers, volumes, variables, mounts and fields."""
    after = _injected(pod)
    for add in others[:count]:
        add(after)

    again = asking.outcome(after, *CLUSTER)

    assert (again.kind, again.reason, again.operations) == ("inject", "already_injected", ())


def _ours(pod):
    return next(c for c in pod["spec"]["initContainers"] if c["name"] == "secret-injector")


def _app(pod):
    return pod["spec"]["containers"][0]


def _cut_plan(pod):
    _ours(pod)["env"][0]["value"] = _ours(pod)["env"][0]["value"][:-2]


FORGERIES = {
    "a mount over our code": lambda pod: _ours(pod)["volumeMounts"].append(
        {"name": "evil", "mountPath": "/app/"}
    ),
    "a mount above our tokens": lambda pod: _ours(pod)["volumeMounts"].append(
        {"name": "evil", "mountPath": "/var/run"}
    ),
    "a mount among the certificates": lambda pod: _ours(pod)["volumeMounts"].append(
        {"name": "evil", "mountPath": "//etc/./ssl/certs"}
    ),
    "a sidecar": lambda pod: _ours(pod).update(restartPolicy="Always"),
    "image": lambda pod: _ours(pod).update(image="evil"),
    "digest as a name": lambda pod: _ours(pod).update(image="sha256:" + "5e" * 32),
    "args": lambda pod: _ours(pod).update(args=["sh"]),
    "root": lambda pod: _ours(pod)["securityContext"].update(runAsUser=0),
    "plan": _cut_plan,
    "mount": lambda pod: _app(pod)["volumeMounts"].pop(),
    "writable mount": lambda pod: _app(pod)["volumeMounts"][0].update(readOnly=False),
    "unwrapped": lambda pod: _app(pod).update(command=["/bin/app"]),
    "disk volume": lambda pod: pod["spec"]["volumes"][0].update(emptyDir={}),
    "two of ours": lambda pod: pod["spec"]["initContainers"].append(_ours(pod)),
    "not an init container": lambda pod: pod["spec"].update(
        containers=[*pod["spec"]["containers"], _ours(pod)], initContainers=[]
    ),
    "a command": lambda pod: _ours(pod).update(command=["/bin/sh", "-c", "evil"]),
    "an env entry of ours twice": lambda pod: _ours(pod)["env"].append(
        {"name": "SECRET_INJECTOR_PLAN", "value": "other"}
    ),
}


@pytest.mark.parametrize("change", FORGERIES)
def test_parts_that_are_not_what_we_would_add_are_replaced_by_ours(change):
    """Whoever takes away or changes one of our parts gets the pod that everybody gets."""
    pod = _injected(asking.pod({"env": 'A: "#{vault:secret/a#x}"'}))
    changed = copy.deepcopy(pod)
    FORGERIES[change](changed)

    decided = asking.outcome(changed, *CLUSTER)

    assert (decided.kind, decided.reason) == ("inject", "injected_anew")
    assert asking.patched(changed, decided) == pod


def test_a_pod_copied_to_another_namespace_gets_a_plan_of_that_namespace():
    """The plan of the pod that was copied names another one, and is not believed."""
    asked = asking.pod({"env": 'A: "#{vault:secret/a#x}"'})
    pod = _injected(asked)

    decided = asking.outcome(pod, *CLUSTER, namespace="other")

    there = asking.outcome(asked, *CLUSTER, namespace="other")
    assert asking.patched(pod, decided) == asking.patched(asked, there)


ANNOTATION_NAMES = (
    *("inject", "service", "env", "files", "containers", "env.app", "files.app", "env-mode"),
    *(
        "mode",
        "refresh",
        "on-change",
        "files-path",
        "files-path.app",
        "run-as",
        "init-after",
        "enf",
        "env.",
        "env.app.b",
    ),
)
annotation_names = st.sampled_from(ANNOTATION_NAMES)
yaml_like = st.text(st.sampled_from("ab:#{}[]\"'&*!|>-?%@`,~\n \t0$/.é\x85\u2028")) | st.text()


@given(st.dictionaries(annotation_names, yaml_like, max_size=3))
def test_any_annotation_text_ends_in_one_of_our_answers(annotations):
    """Whatever stands in an annotation: an answer, and coded problems alone."""
    decided = asking.outcome(asking.pod(annotations), *CLUSTER)

    assert decided.kind in ("inject", "skip", "deny")
    assert all(code.startswith("SI-1") for code in asking.codes(decided))
    assert all(line.isprintable() for p in decided.problems for line in [p.line()])


def _quoted(text):
    return "A: " + json.dumps(text, ensure_ascii=False)


SEEDS = ['"}\n', "{{", "${", "%s", "\u0000", "\u2028", "\x85", "`id`", "');--", "\U0010ffff"]


@pytest.mark.parametrize("seed", SEEDS)
def test_text_of_a_value_reaches_the_plan_and_nothing_else(seed):
    """The patched pod differs by the plan alone: no text is ever part of a template."""
    plain, odd = (
        _injected(asking.pod({"env": _quoted("#{vault:secret/a#x}" + text)})) for text in ("", seed)
    )
    plans = [pod["spec"]["initContainers"][0]["env"][0].pop("value") for pod in (plain, odd)]
    annotations = [pod["metadata"].pop("annotations") for pod in (plain, odd)]

    assert plain == odd
    assert plans[0] != plans[1]
    assert annotations[0] != annotations[1]


def test_a_decision_is_remembered_for_pods_of_one_template():
    """A sibling with another name, token volume and hash label gets the very same operations."""
    catalog = Catalog.of(CLUSTER)
    found = []
    for number in range(2):
        pod = asking.pod({"env": 'A: "#{vault:secret/a#x}"'})
        pod["metadata"] |= {"name": f"app-{number}", "labels": {"hash": str(number)}}
        pod["spec"]["volumes"] = [{"name": f"kube-api-access-{number}", "projected": {}}]
        found.append(asking.outcome(pod, catalog=catalog))

    assert found[0] is found[1]


CHANGES = {
    "command": lambda pod: pod["spec"]["containers"][0]["command"].append("$(A)"),
    "args": lambda pod: pod["spec"]["containers"][0].update(args=["$(A)"]),
    "env": lambda pod: pod["spec"]["containers"][0].update(env=[{"name": "A", "value": "x"}]),
    "env from": lambda pod: pod["spec"]["containers"][0].update(
        env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    ),
    "a device in a file's place": lambda pod: pod["spec"]["containers"][0].update(
        volumeDevices=[{"name": "d", "devicePath": "/run/secret-injector"}]
    ),
    "its last words in a file's place": lambda pod: pod["spec"]["containers"][0].update(
        terminationMessagePath="/run/secret-injector/log"
    ),
    "mount": lambda pod: pod["spec"]["containers"][0].update(
        volumeMounts=[{"name": "v", "mountPath": "/run"}]
    ),
    "user": lambda pod: pod["spec"]["containers"][0].update(securityContext={"runAsUser": 7}),
    "labels that a policy matches": lambda pod: pod["metadata"].update(labels={"strict": "yes"}),
    "groups": lambda pod: pod["spec"].update(securityContext={"supplementalGroups": [65532]}),
    "volumes": lambda pod: pod["spec"].update(volumes=[{"name": "v", "emptyDir": {}}]),
    "init": lambda pod: pod["spec"].update(initContainers=[{"name": "i", "image": "i"}]),
    "probe": lambda pod: pod["spec"]["containers"][0].update(
        livenessProbe={"exec": {"command": ["x"]}}
    ),
    "account": lambda pod: pod["spec"].update(serviceAccountName="other"),
    "annotation": lambda pod: pod["metadata"]["annotations"].update(
        {"secret-injector.io/env": 'A: "#{vault:secret/b#x}"'}
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_decision_depends_on_is_not_mixed_up_by_remembering(name):
    """Decided in one snapshot after its sibling, a different pod gets what it gets alone."""
    pod = asking.pod({"env": 'A: "#{vault:secret/a#x}"'})
    changed = copy.deepcopy(pod)
    CHANGES[name](changed)
    match = {"podSelector": {"matchLabels": {"strict": "yes"}}}
    objects = (*CLUSTER, asking.policy(match=match, rules={"env": "forbidden"}))
    catalog = Catalog.of(objects)

    first = asking.outcome(pod, catalog=catalog)
    second = asking.outcome(changed, catalog=catalog)

    assert second == asking.outcome(changed, *objects)
    assert second != first
