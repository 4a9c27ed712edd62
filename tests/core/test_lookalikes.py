"""What was meant as a reference or an annotation of ours is told from what was not."""

import time

import pytest

from injector.core import budget
from injector.core.budget import OverBudget
from webhook.core import lookalikes


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("${vault:secret/data/shop#key}", "#{vault:secret/shop#key}"),
        ("a ${vault:secret/shop/db#password} b", "#{vault:secret/shop/db#password}"),
        ("${k8s:payment#api-key}", "#{k8s:payment#api-key}"),
        ("${team:a/b#c}", "#{team:a/b#c}"),
        ("${bao:x}", "#{bao:path#key}"),
        ("${$checkout/API_KEY}", "#{$checkout/API_KEY}"),
        ("vault:secret/data/shop#key", "#{vault:secret/shop#key}"),
        ("team:a/b#c", "#{team:a/b#c}"),
        ("kubernetes:payment#api-key", "#{k8s:payment#api-key}"),
        ("#(vault:secret/shop#key)", "#{vault:secret/shop#key}"),
        ("arn:aws:secretsmanager:eu-west-1:1:secret:shop-x", "#{STORE:name#key}"),
        ("op://vault/item/password", "1Password"),
        ("ref+vault://secret/shop#/key", "vals"),
        ("secretref+awssecrets://shop", "vals"),
        ("<path:secret/data/shop#key>", "Argo CD Vault Plugin"),
        ("{{resolve:secretsmanager:shop}}", "CloudFormation"),
        ("@Microsoft.KeyVault(SecretUri=https://x)", "Azure"),
        ("shop@azurekeyvault", "akv2k8s"),
        ("berglas://bucket/shop", "Berglas"),
        (">>vault:pki/issue/x#y", "Bank-Vaults"),
    ],
)
def test_a_reference_of_another_kind_is_named_with_what_to_write(text, what):
    """Ours by the same path where it can be told, else whose it is."""
    found = lookalikes.of_text(text, ("team",))

    assert found is not None
    assert what in found.instead
    assert found.what.startswith(f'holds "{found.shown}", which is plain text here; ')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "https://example.com/a#b",
        "redis:x#y",
        "${SERVER_PORT:8080}",
        "${DB_URL:jdbc:postgresql://db/app}",
        "${vault:-none}",
        "${vault}",
        "$(HOME)/x",
        "colour:#fff",
        "a@b.example",
        "#{vault:secret/shop#key}",
        "#[derive(Debug)]",
        "#(a)",
        "postgres://u:p@op/x",
        "stop://a/b",
        "x" * 2048 + "${vault:a#b}",
    ],
)
def test_other_text_is_left_alone(text):
    """Placeholders of frameworks, addresses, code; and what is too long to look at."""
    assert lookalikes.of_text(text, ("team",)) is None


def test_a_value_is_never_quoted():
    """What stands around a reference may be a secret; what a warning shows is the reference."""
    found = lookalikes.of_text("postgres://app:hunter2-${vault:secret/shop#key}@db")

    assert found is not None
    assert "hunter2" not in found.what


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("--password=#{vault:secret/shop#key}", ["#{vault:…}"]),
        ("#{$/TOKEN} #{$svc/KEY}", ["#{$…}", "#{$…}"]),
        ("##{vault:secret/shop#key}", []),
        ("#{name} #{@db} #{vault:", []),
        ("#{vault secret}", []),
    ],
)
def test_references_in_text_are_those_that_are_surely_ours(text, begins):
    """A name alone is another language's as well."""
    assert list(lookalikes.references_in(text)) == begins


@pytest.mark.parametrize("text", ["${vault:a", "#(a:b", "<path:a", "op://a", "#{a:b}", "#{a:b"])
def test_looking_is_counted_by_what_it_costs(text):
    """Ten thousand values that lead a search astray end at the budget, and not at the clock."""
    value = text * (2048 // len(text))
    entries = [{"name": "A", "value": value}] * 10_000
    app = {"name": "app", "env": entries, "args": [value] * 10_000}

    started_s = time.process_time()
    with budget.limited(100_000), pytest.raises(OverBudget):
        lookalikes.in_pod({"spec": {"containers": [app]}}, stores=(), skipped=())

    assert time.process_time() - started_s < 2.0


@pytest.mark.parametrize(
    ("annotation", "codes"),
    [
        ("secret-injector.io/inject", ["SI-125"]),
        ("vault.security.banzaicloud.io/vault-addr", []),
        ("secrets-webhook.security.bank-vaults.io/vault-role", []),
        ("operator.1password.io/inject", []),
    ],
)
def test_env_of_a_pod_that_asks_another_injector_is_that_ones(annotation, codes):
    """While a team moves from one to the other, both are right."""
    app = {"name": "app", "env": [{"name": "A", "value": "vault:secret/data/shop#key"}]}
    pod = {"metadata": {"annotations": {annotation: "x"}}, "spec": {"containers": [app]}}

    found = lookalikes.in_pod(pod, stores=(), skipped=())

    assert [problem.code.id for problem in found] == codes


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("secrets-injector.io/inject", "secret-injector.io/inject"),
        ("secret-injector.com/env", "secret-injector.io/env"),
        ("Secret-Injector.io/env", "secret-injector.io/env"),
        ("secretinjector.io/env", "secret-injector.io/env"),
        ("secret_injector.io/env", "secret-injector.io/env"),
        ("secret-injector/env.app", "secret-injector.io/env.app"),
        ("secret-injetcor.io/env", "secret-injector.io/env"),
        ("ecret-injector.io/env", "secret-injector.io/env"),
        ("secret-injector.oi/env", "secret-injector.io/env"),
        ("secret-injection.io/env", "secret-injector.io/env"),
        ("secret-injector.io/env", ""),
        ("secret-injector.example.org/env", ""),
        ("vault.hashicorp.com/agent-inject", ""),
        ("secret-injector.io", ""),
        ("my-secret-injector.io/env", ""),
    ],
)
def test_a_prefix_that_is_nearly_ours_has_one_that_was_meant(name, meant):
    """One slip of the keyboard, or the name that others would have given it."""
    assert lookalikes.prefix_meant(name) == meant
