"""What an operator can set: documented, used, and checked before anything is rendered."""

import dataclasses
import json
import re
from functools import reduce

import jsonschema
import pytest
import yaml

from tests.chart.manifests import CHART, TEMPLATES
from webhook.rotation import RotationSettings
from webhook.settings import Settings

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def with_value(path, value):
    """Return the default values with one changed; the path is dotted."""
    values = json.loads(json.dumps(VALUES))
    *parents, last = path.split(".")
    reduce(lambda node, name: node.setdefault(name, {}), parents, values)[last] = value
    return values


def faults(values):
    """Return the places that the schema complains about."""
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [".".join(map(str, error.absolute_path)) for error in validator.iter_errors(values)]


def names(node, schema, at=""):
    """Yield (path, where it is missing) for every name that only one of values and schema has."""
    schema = SCHEMA["$defs"][schema["$ref"].split("/")[-1]] if "$ref" in schema else schema
    properties = schema.get("properties")
    if properties is None or not isinstance(node, dict):
        return
    is_closed = schema.get("additionalProperties") is False
    for name in sorted(node.keys() | properties.keys()):
        path = f"{at}.{name}".strip(".")
        if name not in properties:
            yield path, "values.schema.json"
        elif name not in node:
            if is_closed and node:
                yield path, "values.yaml"
        else:
            yield from names(node[name], properties[name], path)


def test_schema_is_a_schema():
    """values.schema.json is itself valid."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_defaults_satisfy_the_schema():
    """The values as shipped pass the schema."""
    assert faults(VALUES) == []


def test_values_and_schema_name_the_same_settings():
    """Every setting has a default and a schema; probes and resources are partial."""
    partial = re.compile(r"(\w+Probe|(certs\.process\.)?resources)\.")
    found = [(path, where) for path, where in names(VALUES, SCHEMA) if not partial.match(path)]

    assert found == []


def test_templates_use_only_values_that_exist():
    """Each `.Values.a.b` of a template is a path of values.yaml, so a slip cannot read as empty."""
    unknown = []
    for path in TEMPLATES.rglob("*.*"):
        for used in re.findall(r"\.Values((?:\.\w+)+)", path.read_text()):
            node = VALUES
            for name in used.strip(".").split("."):
                if not isinstance(node, dict) or name not in node:
                    unknown.append(f"{path.name}: {used}")
                    break
                node = node[name]

    assert unknown == []


def test_every_value_is_used():
    """No value of the first level is without effect."""
    text = "".join(path.read_text() for path in TEMPLATES.rglob("*.*"))

    assert [name for name in VALUES if f".Values.{name}" not in text] == []


def test_process_knows_every_variable_that_the_chart_sets():
    """Each variable of a container of ours is a setting of its process."""
    text = (TEMPLATES / "_settings.tpl").read_text()
    webhook, certificates = text.split('define "secret-injector.certificatesSettings"')
    found = {
        kind: re.findall(r"^([A-Z_]+): ", part, flags=re.MULTILINE)
        for kind, part in ((Settings, webhook), (RotationSettings, certificates))
    }
    known = {kind: {field.name.upper() for field in dataclasses.fields(kind)} for kind in found}

    assert "IMAGE" in found[Settings]
    assert "CERTIFICATE_LIFE_S" in found[RotationSettings]
    assert [
        name for kind, names in found.items() for name in names if name not in known[kind]
    ] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("webhok", {}),
        ("webhook.failurepolicy", "Fail"),
        ("certs.certManager", True),
        ("guard.enable", False),
        ("metrics.serviceMonitor.namespace", "x"),
        ("resources.limit", {}),
        ("readinessProbe.httpGet", {}),
    ],
)
def test_unknown_names_are_refused(path, value):
    """A misspelt name fails instead of doing nothing."""
    assert faults(with_value(path, value)) == [".".join(path.split(".")[:-1])]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("replicaCount", 0),
        ("image.repository", ""),
        ("image.digest", "sha256:abc"),
        ("injected.image.pullPolicy", "Sometimes"),
        ("webhook.failurePolicy", "Open"),
        ("webhook.timeoutSeconds", 31),
        ("webhook.port", 0),
        ("injected.resources.limits.memory", "lots"),
        ("guard.actions", []),
        ("guard.actions", ["Deny", "Warn"]),
        ("certs.mode", "none"),
        ("certs.caBundle", "bm90IHBlbQ=="),
        ("certs.duration", "90d"),
        ("terminationGracePeriodSeconds", 5),
    ],
)
def test_wrong_values_are_refused(path, value):
    """A value that cannot work fails before anything is rendered, at its place."""
    assert faults(with_value(path, value)) == [path]
