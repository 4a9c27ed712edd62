"""What other tools write gets the hint that says what to write here."""

from pathlib import Path

import pytest

from injector.core import grammar, stores
from injector.core.pick import NotPicked, key_in_path, pick
from injector.core.secret import Secret
from injector.core.spellings import TABLE, of_field, of_path
from tests.core.test_aws_stores import parsed
from tests.core.test_cloud_stores import azure_store, gcp_store

PAGE = Path(__file__).parents[2] / "docs" / "spellings.md"
VAULT = {"vault": {"address": "https://vault:8200", "auth": {"kubernetes": {"role": "x"}}}}
SPECS = {
    "vault": lambda: stores.parse("vault", VAULT),
    "azureKeyVault": azure_store,
    "gcpSecretManager": gcp_store,
    "awsParameterStore": lambda: parsed("awsParameterStore"),
    "awsSecretsManager": lambda: parsed("awsSecretsManager"),
}


@pytest.mark.parametrize(("tool", "provider", "theirs", "ours"), TABLE)
def test_a_path_of_another_tool_is_refused_with_what_to_write(tool, provider, theirs, ours):
    """Each row of the table; the hint decides nothing, the store has refused the path already."""
    assert tool
    assert SPECS[provider]().spec.path_problem(theirs, None, None) is not None
    assert of_path(theirs, provider) == f"write {ours}"


@pytest.mark.parametrize(("tool", "provider", "theirs", "ours"), TABLE)
def test_the_page_has_every_row_of_the_table(tool, provider, theirs, ours):
    """So that one can look it up before."""
    assert f"| {tool} | `{provider}` | `{theirs}` | `{ours.partition(' ')[0]}`" in PAGE.read_text()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("#{s:https://shop.vault.azure.net/secrets/db}", "write db"),
        ("#{s:https://vault:8200/v1/secret/data/db}", "write secret/db"),
        ("#{s:a//b}", "write the path exactly as the store knows it"),
    ],
)
def test_a_path_that_no_store_has_is_explained_before_any_store_is_asked(text, hint):
    """Where only one store could be meant."""
    with pytest.raises(grammar.GrammarError) as caught:
        grammar.parse(text)

    assert [slip.hint for slip in caught.value.slips] == [hint]


def test_a_second_hash_is_a_version_in_other_tools():
    """bank-vaults writes secret/data/db#password#3."""
    with pytest.raises(grammar.GrammarError) as caught:
        grammar.parse("#{vault:secret/db#password#3}")

    assert caught.value.slips[0].hint == "a version is written behind @, as in @3"


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("db.user", "what lies below a key is written with slashes: #/db/user"),
        ("db.hosts.0", "what lies below a key is written with slashes: #/db/hosts/0"),
    ],
)
def test_a_field_with_dots_gets_its_pointer(field, hint):
    """ESO writes `property: db.user`."""
    with pytest.raises(NotPicked) as refused:
        pick(Secret({"db": {"user": "shop", "hosts": ["a"]}}), field)

    assert refused.value.hint == hint


def test_a_field_with_dots_that_begins_with_no_key_is_a_slip_of_the_pen():
    """A key may have dots of its own."""
    assert of_field("tls.crt", {"tls.key": "x"}) == ""
    assert of_field("tls.", {"tls": "x"}) == ""


def test_a_field_with_dots_into_a_text_gets_the_filter_that_reads_json():
    """ESO looks into values that are JSON by itself; here a filter says so."""
    with pytest.raises(NotPicked) as refused:
        pick(Secret({"db": '{"user": "CANARY"}'}), "db.user")

    assert refused.value.hint == (
        'what lies inside a value that is JSON is got by a filter: #db | get("/user")'
    )


def test_a_number_behind_a_colon_is_a_version_and_a_word_is_a_key():
    """Both are paths that Vault may have, so only a path that is not there is explained."""
    assert key_in_path("secret/shop/db:3") == "a version is written behind @: secret/shop/db@3"
    assert key_in_path("secret/shop/db:user") == "a key is written behind #: secret/shop/db#user"


@pytest.mark.parametrize("provider", [None, *SPECS])
@pytest.mark.parametrize(
    "path", ["", "/", "a", "a/b", "/" * 900, ":" * 900, "a/" * 700, "x" * 5000]
)
def test_a_path_that_no_tool_writes_has_no_hint_or_a_short_one(provider, path):
    """However long it is."""
    assert len(of_path(path, provider)) <= 3000
