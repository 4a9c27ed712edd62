"""The definitions of our kinds: what kubectl shows, their limits, and parity with the code."""

import re

import jsonschema
import pytest

from injector.core import stores
from injector.core.fields import Fields
from tests.chart import specs
from tests.chart.manifests import definitions, schema
from webhook.core import policy_model, resources

KINDS = {
    "ClusterInjectionPolicy": ("clusterinjectionpolicies", "cipol", "Cluster"),
    "ClusterSecretStore": ("clustersecretstores", "csstore", "Cluster"),
    "EnvironmentSecrets": ("environmentsecrets", "envsec", "Cluster"),
    "ServiceSecrets": ("servicesecrets", "svcsec", "Namespaced"),
}
FREE = {"spec.env", "spec.files"}
"""Maps whose entries have no structural schema; the definition of ServiceSecrets says why."""


def parse(kind, spec):
    """Return the problems that the code finds in a spec."""
    if kind == "ClusterSecretStore":
        try:
            stores.parse("sample", spec)
        except stores.Refused as refused:
            return [problem.line() for problem in refused.problems]
        return []
    read = {
        "ClusterInjectionPolicy": resources.policy,
        "EnvironmentSecrets": resources.environment,
        "ServiceSecrets": resources.service,
    }[kind]
    return [
        problem.line() for problem in read({"metadata": {"name": "sample"}, "spec": spec}).problems
    ]


def paths(node, at="spec"):
    """Yield the path of every field of a schema below its spec; list indices are empty."""
    if at in FREE:
        return
    for name, child in node.get("properties", {}).items():
        yield f"{at}.{name}"
        yield from paths(child, f"{at}.{name}")
    if "items" in node:
        yield from paths(node["items"], f"{at}[]")


def unbounded(node, at):
    """Yield the places of a schema where a value may be of any size."""
    match node.get("type"):
        case "string" if not ({"maxLength", "enum", "format"} & node.keys()):
            yield at
        case "array":
            if "maxItems" not in node:
                yield at
            yield from unbounded(node["items"], f"{at}[]")
        case "object":
            if "additionalProperties" in node:
                if "maxProperties" not in node:
                    yield at
                yield from unbounded(node["additionalProperties"], f"{at}.*")
            for name, child in node.get("properties", {}).items():
                yield from unbounded(child, f"{at}.{name}")
        case None if not {"maxLength", "maxItems", "maxProperties"} <= node.keys():
            yield at


def test_kinds_have_the_names_that_people_type():
    """Plural, short name and scope of each kind; all are found by the one category."""
    found = definitions()

    assert {
        kind: (d["spec"]["names"]["plural"], *d["spec"]["names"]["shortNames"], d["spec"]["scope"])
        for kind, d in found.items()
    } == KINDS
    assert {tuple(d["spec"]["names"]["categories"]) for d in found.values()} == {
        ("secret-injector",)
    }
    assert {d["metadata"]["name"] for d in found.values()} == {
        f"{plural}.secret-injector.io" for plural, _, _ in KINDS.values()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_conditions_are_a_map_by_type_and_shown(kind):
    """The status is a subresource with conditions in the customary form; columns show Ready."""
    [version] = definitions()[kind]["spec"]["versions"]
    status = schema(kind)["properties"]["status"]["properties"]
    columns = [column["name"] for column in version["additionalPrinterColumns"]]

    assert version["subresources"] == {"status": {}}
    assert status["observedGeneration"] == {
        "description": status["observedGeneration"]["description"],
        "type": "integer",
        "format": "int64",
    }
    assert status["conditions"]["x-kubernetes-list-type"] == "map"
    assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    assert sorted(status["conditions"]["items"]["required"]) == [
        "lastTransitionTime",
        "message",
        "reason",
        "status",
        "type",
    ]
    assert {"Ready", "Reason", "Age", "Message"} <= set(columns)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_bounded(kind):
    """No text, list or map may grow without limit: the cost of judging an object has one too."""
    properties = schema(kind)["properties"]

    assert [
        *unbounded(properties["spec"], "spec"),
        *unbounded(properties["status"], "status"),
    ] == []


@pytest.mark.parametrize("kind", KINDS)
def test_schema_and_code_know_the_same_fields(kind, monkeypatch):
    """The code reads every field of the schema and no other, on specs that both accept."""
    taken = set()
    original = Fields.take

    def recording(self, name):
        taken.add(re.sub(r"\[\d+\]", "[]", f"{self.place}.{name}"))
        return original(self, name)

    monkeypatch.setattr(Fields, "take", recording)
    problems = {index: parse(kind, spec) for index, spec in enumerate(specs.BY_KIND[kind])}
    entries = re.compile(r"spec\.(env|files)\.")

    assert {index: found for index, found in problems.items() if found} == {}
    assert {path for path in taken if not entries.match(path)} == set(
        paths(schema(kind)["properties"]["spec"])
    )


@pytest.mark.parametrize(
    ("kind", "spec"), [(kind, spec) for kind, all_of in specs.BY_KIND.items() for spec in all_of]
)
def test_right_specs_pass_the_schema(kind, spec):
    """What the code accepts, the schema accepts; unknown fields would be refused."""
    validator = jsonschema.Draft202012Validator(schema(kind)["properties"]["spec"])

    assert [error.message for error in validator.iter_errors(spec)] == []


def test_every_provider_of_the_code_can_be_installed():
    """The union in the schema has each provider of the code but those for laptops, and no other."""
    common = {"allowedNamespaces", "audience", "timeout", "retry"}
    members = schema("ClusterSecretStore")["properties"]["spec"]["properties"].keys() - common

    assert members == stores.PROVIDERS.keys() - {"dotenv", "env"}


def test_schema_and_code_know_the_same_variables_of_a_path():
    """A pattern that the code understands is not refused by the API server, nor the reverse."""
    rules = schema("ClusterInjectionPolicy")["properties"]["spec"]["properties"]["rules"]
    paths = rules["properties"]["paths"]["items"]["properties"]["allow"]["items"]
    [rule] = [
        each["rule"]
        for each in paths["x-kubernetes-validations"]
        if "unknown variable" in each["messageExpression"]
    ]

    assert set(re.search(r"\((\w+(?:\|\w+)*)\)", rule)[1].split("|")) == set(policy_model.VARIABLES)
