"""Inside the API server: a pod may not ask by itself for a token with the audience of a store.

It is installed under another annotation prefix, for a few namespaces, so that no release is asked.
"""

import json

import pytest
import yaml

from tests.chart.manifests import CHART
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.process import CommandFailedError, until

PREFIX = "tokens.example.org/"
ASKS = {f"{PREFIX}service": "shop"}
LABELS = {"tokens-test": "yes"}
GUARDED, BESIDE = "tokens-guarded", "tokens-beside"
REFUSED = (
    "the volume {} asks for a token with the audience of a secret store, which only the injector's"
    " own container may have: take the audience out, and name the secret in an annotation"
)


def _render(helm, values):
    text = helm(
        *("template", "tokens", CHART, "--namespace", "tokens-system", "--values", "-"),
        *("--show-only", "templates/guard-tokens.yaml"),
        stdin=json.dumps(values),
    )
    return list(yaml.safe_load_all(text.replace("secret-injector.io/", PREFIX)))


def _token(audience=None, **fields):
    token = {"path": "token", **({} if audience is None else {"audience": audience}), **fields}
    return {"serviceAccountToken": token}


def _volume(*sources, name="mine"):
    return {"name": name, "projected": {"sources": list(sources)}}


@pytest.fixture(scope="module")
def verdict(cluster, helm):
    """Return a function from a pod's volumes to the policy's objection, or None."""
    values = {
        "guard": {"tokenAudiences": ["vault", "https://bao.example/it's"]},
        "webhook": {
            "namespaceSelector": {
                "matchLabels": LABELS,
                "matchExpressions": [{"key": "off", "operator": "DoesNotExist"}],
            }
        },
    }
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name, labels in ((GUARDED, LABELS), (BESIDE, {**LABELS, "off": ""}))
    ]
    objects = [*namespaces, *_render(helm, values)]
    cluster.apply(objects)

    def judged(*volumes, annotations=None, namespace=GUARDED):
        mounts = [{"name": v["name"], "mountPath": f"/v/{v['name']}"} for v in volumes]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "trial", "annotations": annotations or {}},
            "spec": {
                "containers": [{"name": "app", "image": "app", "volumeMounts": mounts}],
                "volumes": list(volumes),
            },
        }
        try:
            cluster.create(pod, namespace, dry_run=True)
        except ApiError as error:
            by, _, said = error.message.partition(" denied request: ")
            by_us = "ValidatingAdmissionPolicy 'tokens-secret-injector-tokens' with binding"
            return said if by_us in by else error.message
        return None

    def is_in_force():
        said = judged(_volume(_token("vault")))
        return said is not None and "audience of a secret store" in said

    until(is_in_force, what="the policy is in force", timeout_s=60)
    yield judged
    for item in reversed(objects):
        cluster.delete(item["kind"], item["metadata"]["name"])


@pytest.mark.parametrize("audience", ["vault", "https://bao.example/it's"])
@pytest.mark.parametrize("annotations", [{}, ASKS, {f"{PREFIX}inject": "false", **ASKS}])
@pytest.mark.parametrize("namespace", [GUARDED, BESIDE])
def test_a_hand_made_token_with_a_stores_audience_is_refused(
    verdict, audience, annotations, namespace
):
    """Whether it asks for injection or not, and where the webhook is not asked as well."""
    volume = _volume(_token(), _token(audience, path="other"), name="sneaky")

    assert verdict(volume, annotations=annotations, namespace=namespace) == REFUSED.format("sneaky")


def test_the_injectors_own_volume_passes_in_a_pod_that_the_guard_checks(verdict):
    """The guard sees to it that nobody but our container mounts that volume."""
    ours = _volume(_token("vault"), name="secret-injector-sources")

    assert verdict(ours, annotations=ASKS) is None


@pytest.mark.parametrize(
    ("annotations", "namespace"),
    [({}, GUARDED), ({f"{PREFIX}inject": "false", **ASKS}, GUARDED), (ASKS, BESIDE)],
)
def test_its_name_alone_is_no_way_around(verdict, annotations, namespace):
    """A pod that the guard does not look at has no container of ours, whatever a volume's name."""
    ours = _volume(_token("vault"), name="secret-injector-sources")

    said = verdict(ours, annotations=annotations, namespace=namespace)
    assert said == REFUSED.format("secret-injector-sources")


def test_one_volume_of_ours_does_not_excuse_another(verdict):
    """Each volume is judged."""
    ours = _volume(_token("vault"), name="secret-injector-sources")

    assert verdict(ours, _volume(_token("vault")), annotations=ASKS) == REFUSED.format("mine")


@pytest.mark.parametrize(
    "volumes",
    [
        [],
        [{"name": "scratch", "emptyDir": {}}],
        [_volume(_token())],
        [_volume(_token("sts.amazonaws.com"))],
        [_volume(_token("VAULT"))],
        [_volume({"configMap": {"name": "vault"}}, _token())],
    ],
)
@pytest.mark.parametrize("namespace", [GUARDED, BESIDE])
def test_other_volumes_and_the_api_servers_own_tokens_pass(verdict, volumes, namespace):
    """Tokens without an audience are the API server's; other audiences are others' business."""
    assert verdict(*volumes, namespace=namespace) is None


def test_it_is_off_unless_audiences_are_named(helm):
    """The default installs nothing."""
    with pytest.raises(CommandFailedError):
        _render(helm, {})


@pytest.mark.parametrize(
    "values",
    [
        {"guard": {"tokenAudiences": ["vault"], "enabled": False}},
        {
            "guard": {"tokenAudiences": ["vault"]},
            "webhook": {"objectSelector": {"matchLabels": {"a": "b"}}},
        },
    ],
)
def test_a_guard_that_pods_can_pass_excuses_no_volume(helm, values):
    """Values under which the exception would be a hole are refused."""
    with pytest.raises(CommandFailedError):
        helm("template", "tokens", CHART, "--values", "-", stdin=json.dumps(values))
