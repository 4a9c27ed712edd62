"""B: `lint` finds literals that look like secrets, and leaves alone what only sounds like one."""

import json
import time

import pytest
import yaml

from webhook.commands import lint
from webhook.core import literals

HEX = "9f86d081884c7d659a2feaa0c55ad015"
MIXED = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hJ5"
# Joined here, so that no scanner of this repository takes them for real.
SECRETS = {
    "AWS": "AKIA" + "IOSFODNN7EXAMPLE",
    "GITHUB": "ghp" + f"_{MIXED}",
    "GITHUB_FINE": "github" + f"_pat_{MIXED}",
    "GITLAB": "glpat" + f"-{MIXED[:20]}",
    "SLACK": "xoxb" + "-123456789012-abcdef",
    "SLACK_HOOK": "https://hooks.slack.com" + "/services/T01234567/B01234567/abcdefgh",
    "JWT": "eyJ" + f"hbGciOiJIUzI1NiJ9.eyJ{MIXED}.{MIXED}",
    "PEM": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\n",
    "PEM_8": "-----BEGIN " + "PRIVATE KEY-----\nMIIE\n",
    "VAULT": "hvs" + f".{MIXED}",
    "VAULT_OLD": "s" + f".{MIXED[:24]}",
    "GOOGLE": "AIza" + MIXED[:35],
    "STRIPE": "sk" + f"_live_{MIXED}",
    "MODEL": "sk" + f"-proj-{MIXED}",
    "NPM": "npm" + f"_{MIXED}",
    "AGE": "AGE-SECRET" + "-KEY-1" + MIXED.upper() * 2,
    "AZURE": "DefaultEndpointsProtocol=https;AccountKey" + f"={MIXED}{MIXED}==",
    "INSIDE": "Authorization: Bearer ghp" + f"_{MIXED}",
    "IN_DEFAULT": '#{vault:kv/a#b | default("' + "ghp" + f"_{MIXED}" + '")}',
    "DATABASE_URL": "postgres://shop:hunter2@db:5432/shop",
    "HALF": "postgres://#{$/DB_USER}:hunter2@db/shop",
    "DB_PASSWORD": "hunter2",
    "ADMIN_PASS": "Tr0ub4dor&3",
    "api.password": "s3cr3t!",
    "API_KEY": HEX,
    "SESSION_KEY": MIXED,
    "AUTH_TOKEN": "c0b2a4a5-8a43-4f0e-9f6e-1d6f2b7a9c3d",
    "SECRET_KEY_BASE": HEX * 4,
}
ORDINARY = {
    "PASSWORD_FILE": "/run/secrets/injector/password1",
    "PASSWORD_HASH_ALGORITHM": "pbkdf2_sha256",
    "PASSWORD_MIN_LENGTH": "12",
    "TOKEN_URL": "https://login.example.org/oauth2/v2.0/token",
    "TOKEN_TTL": "3600s",
    "TOKEN_ISSUER": "https://issuer.example.org/1234567890abcdef",
    "SECRET_NAME": "shop-database-credentials-v2",
    "API_KEY_HEADER": "X-Api-Key-V2",
    "AWS_REGION": "eu-central-1",
    "DB_PASSWORD": "changeme",
    "ADMIN_PASSWORD": "<password1>",
    "OTHER_PASSWORD": "${DB_PASSWORD}",
    "REDIS_URL": "redis://cache:6379/0",
    "DATABASE_URL": "postgres://#{$/DB_USER}:#{vault:db#password}@#{$/DB_HOST}:5432/app",
    "USER_ONLY": "postgres://shop@db/shop",
    "PASS": "#{vault:kv/shop/db#password}",
    "PASS_PREFIXED": "prefix-#{vault:kv/shop/db#password}",
    "BROKEN_PASSWORD": "#{vault:kv//shop#password1}",
    "COMMIT": "9f86d081884c7d659a2feaa0c55ad01512345678",
    "IMAGE": f"registry.example.org/shop@sha256:{HEX}{HEX}",
    "PUBLIC_KEY": "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n",
    "CERTIFICATE": "-----BEGIN CERTIFICATE-----\nMIIB\n",
    "SIGNING_KEY": "app-session-key-version2",
    "KEY": "eu-west-1/shop/prod",
    "MONKEY": HEX,
    "KEYBOARD_LAYOUT": "de",
    "PASSENGER_COUNT": "a1b2c3d4",
    "COMPASS_MODE": "north2south",
    "LOG_LEVEL": "info",
    "TRACE_ID": HEX,
    "FEATURE": "true",
    "MARKDOWN": "see s.Kubernetes and sk-short, or eyJ",
    "SECRET": "",
    "TOKEN": "none",
}


def found(name, text):
    """The code of what is found in one entry, or nothing."""
    problems = list(literals.findings({name: text}, place="spec.env"))
    return [(problem.code.id, problem.source) for problem in problems]


@pytest.mark.parametrize("name", SECRETS)
def test_a_literal_that_looks_like_a_secret_is_found(name):
    """Known forms wherever they stand, and random text under a telling name; never quoted."""
    assert found(name, SECRETS[name]) == [("SI-132", f"spec.env.{name}")]

    (problem,) = literals.findings({name: SECRETS[name]}, place="spec.env")
    assert SECRETS[name] not in problem.render()


@pytest.mark.parametrize("name", ORDINARY)
def test_what_only_sounds_like_a_secret_is_left_alone(name):
    """Addresses, names, files, limits, placeholders and references are no findings."""
    assert found(name, ORDINARY[name]) == []


def test_names_alone_are_no_finding():
    """No name of the list of ordinary variables is found with an ordinary value."""
    assert [name for name in SECRETS if found(name, "on")] == []


def test_lint_says_where(tmp_path, capsys):
    """Both kinds of objects and the annotations, with file and line, as warnings of SI-132."""
    text = SECRETS["GITHUB"]
    objects = [
        {
            "apiVersion": "secret-injector.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": "shop"} | ({"namespace": "shop"} if is_namespaced else {}),
            "spec": {"env": {"OK": "text", "TOKEN": {"value": text}}, **more},
        }
        for kind, is_namespaced, more in (
            ("ServiceSecrets", True, {"files": {"a.key": SECRETS["PEM"]}}),
            ("EnvironmentSecrets", False, {"namespaceSelector": {"matchLabels": {"a": "b"}}}),
        )
    ]
    annotation = {"secret-injector.io/env": f'TOKEN: "{text}"'}
    objects.append(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "shop", "annotations": annotation},
            "spec": {"containers": [{"name": "app", "image": "a", "command": ["a"]}]},
        }
    )
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False))
    lines = path.read_text().splitlines()

    lint.main(["-f", str(path), "-o", "json"])

    said = capsys.readouterr().out
    rows = [row for row in json.loads(said) if row["code"] == "SI-132"]
    assert [row["level"] for row in rows] == ["warning"] * 4
    assert [lines[row["line"] - 1].split(":")[0].strip() for row in rows] == [
        "TOKEN",
        "a.key",
        "TOKEN",
        "secret-injector.io/env",
    ]
    assert text not in said


@pytest.mark.parametrize(
    "piece", ["eyJ", "://", "eyJa.", "-----BEGIN ", "ghp_", "a1", "xoxb-", "$("]
)
def test_a_long_run_of_beginnings_costs_little(piece):
    """Patterns are linear: 64 KiB of the beginnings of tokens take no second."""
    text = piece * (65_536 // len(piece))
    began = time.process_time()

    list(literals.findings({"API_KEY": text}, place="spec.env"))

    assert time.process_time() - began < 1
