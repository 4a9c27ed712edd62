"""Golden cases: a pod and a cluster in, a patch and a plan or a refusal out, word for word.

A case is a folder: pod.yaml, with catalog.yaml (objects of the cluster) and settings.yaml (fields
of the request and of `Settings`) when it needs them. What comes out stands beside it:

    patch.json, plan.json      injected; warnings.txt when there are any
    denied.txt                 the message that kubectl shows
    skipped.txt                the reason, then the warnings

`make golden` writes these anew; the diff is the review.
"""

import json
from pathlib import Path

import jsonpatch as reference_jsonpatch
import pytest
import yaml

from injector.core import plan_codec
from webhook.core import decide, jsonpatch, review, sources_text
from webhook.core.catalog import Catalog
from webhook.core.our_container import PLAN_VARIABLE
from webhook.settings import Settings

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/pod.yaml"))
OUTPUTS = ("patch.json", "plan.json", "warnings.txt", "denied.txt", "skipped.txt")
IMAGE = "registry.example/secret-injector@sha256:" + "5e" * 32


def _pretty(document):
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _request(pod, settings):
    request = {
        "uid": "b0a4d9c3-6f0e-4c5e-9d55-0d6a4d1f0c11",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": "shop",
        **settings,
        "object": pod,
    }
    body = {"apiVersion": review.API_VERSION, "kind": "AdmissionReview", "request": request}
    return review.parse(json.dumps(body).encode())


def _variables(pod):
    [ours] = [c for c in pod["spec"]["initContainers"] if c["name"] == "secret-injector"]
    return {entry["name"]: entry.get("value") for entry in ours["env"]}


def _readable(value, packed):
    """Return a patch with what travels packed written out: nobody can review base64."""
    if isinstance(value, dict):
        return {name: _readable(part, packed) for name, part in value.items()}
    if isinstance(value, list):
        return [_readable(part, packed) for part in value]
    return packed.get(value, value) if isinstance(value, str) else value


def _outputs(case):
    pod = yaml.safe_load((case / "pod.yaml").read_text())
    catalog, settings = case / "catalog.yaml", case / "settings.yaml"
    objects = yaml.safe_load_all(catalog.read_text()) if catalog.exists() else ()
    given = yaml.safe_load(settings.read_text()) if settings.exists() else {}
    injection = Settings(image=IMAGE, **given.get("injection", {})).injection()
    request = _request(pod, given.get("request", {}))
    outcome = decide.decide(request, Catalog.of(objects), injection)
    answer = json.loads(review.answer(request, outcome))["response"]
    warnings = "".join(f"{line}\n" for line in outcome.warnings)
    if outcome.kind == "deny":
        assert answer["allowed"] is False
        return {"denied.txt": answer["status"]["message"] + "\n"}
    assert answer["allowed"] is True
    if outcome.kind == "skip" or not outcome.operations:
        return {"skipped.txt": f"{outcome.reason}\n{warnings}"}
    patched = jsonpatch.apply(pod, outcome.operations)
    ours = _variables(patched)
    plan, sources = ours[PLAN_VARIABLE], ours.get(sources_text.VARIABLE)
    packed = {plan: "<plan.json, encoded>"}
    if sources is not None:
        packed[sources] = "<encoded> " + json.dumps(sources_text.decode(sources))
    shown = _readable(json.loads(json.dumps(outcome.operations)), packed)
    document = json.loads(plan_codec.to_json(plan_codec.decode(plan)))
    files = {"patch.json": _pretty(shown), "plan.json": _pretty(document)}
    return {**files, "warnings.txt": warnings} if warnings else files


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_decision_is_the_one_on_record(case, update_golden):
    """Every file that the case has is written again exactly, and no other."""
    found = _outputs(case)

    if update_golden:
        for name in OUTPUTS:
            (case / name).unlink(missing_ok=True)
        for name, text in found.items():
            (case / name).write_text(text)
    on_record = {name: (case / name).read_text() for name in OUTPUTS if (case / name).exists()}
    assert found == on_record


@pytest.mark.parametrize(
    "case", [c for c in CASES if (c / "patch.json").exists()], ids=lambda case: case.name
)
def test_the_patch_means_the_same_to_another_implementation_of_json_patch(case):
    """RFC 6902 is read alike by our `apply` and by the library `jsonpatch`."""
    pod = yaml.safe_load((case / "pod.yaml").read_text())
    operations = json.loads((case / "patch.json").read_text())

    assert jsonpatch.apply(pod, operations) == reference_jsonpatch.apply_patch(pod, operations)


def test_there_are_cases():
    """An empty folder would pass without a word."""
    assert len(CASES) >= 30
