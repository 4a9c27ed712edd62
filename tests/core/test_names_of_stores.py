"""Names that stores have and URLs or our grammar could take for something else."""

import pytest

from injector.core import errors, grammar, reference, stores
from injector.core.reference import Expression, StoreRead


def vault(**spec):
    """A store with a login by kubernetes, and what a test says beside it."""
    kubernetes = {"role": "shop", **spec.pop("kubernetes", {})}
    document = {"address": "https://vault:8200", "auth": {"kubernetes": kubernetes}, **spec}
    return stores.parse("vault", {"vault": document}).spec


@pytest.mark.parametrize(
    ("written", "mount"),
    [
        ("kubernetes/", "kubernetes"),
        ("k8s.prod.eu", "k8s.prod.eu"),
        ("clusters/eu-1.prod/", "clusters/eu-1.prod"),
    ],
)
def test_the_mount_of_an_auth_method_has_dots_and_may_end_with_a_slash(written, mount):
    """`vault auth list` shows the slash; it is no part of the path that is asked."""
    assert vault(kubernetes={"mountPath": written}).login.mount == mount


@pytest.mark.parametrize("namespace", ["admin/team.a", "team.a/", "eu.example"])
def test_a_namespace_of_vault_has_dots(namespace):
    """As the server has it."""
    assert vault(namespace=namespace).namespace == namespace


@pytest.mark.parametrize("written", ["..", "a/../b", "./a", "a//b", "/a", "a/."])
def test_dots_alone_are_no_part_of_a_mount_or_namespace(written):
    """They would lead elsewhere."""
    for spec in ({"kubernetes": {"mountPath": written}}, {"namespace": written}):
        with pytest.raises(errors.Refused) as caught:
            vault(**spec)
        assert [problem.code for problem in caught.value.problems] == [errors.STORE_SPEC]


@pytest.mark.parametrize(
    "path", ["secret/50%", "secret/what?", "secret/a;b", "secret/no#1", "secret/a?b=c/100%#;"]
)
def test_signs_of_urls_in_a_path_of_vault_stand_in_quotes(path):
    """Quoted they are read and written back; bare, the hint is to quote; `#` begins the field."""
    text = f'#{{vault:"{path}"#key}}'
    read = StoreRead(store="vault", path=path, field="key")

    assert grammar.parse(text) == (Expression(reference=read),)
    assert reference.format_value(grammar.parse(text)) == text
    assert vault().path_problem(path, "key", None) is None
    if "#" not in path:
        with pytest.raises(grammar.GrammarError):
            grammar.parse(f"#{{vault:{path}#key}}")


@pytest.mark.parametrize("path", ["secret/a%2fb", "secret/%2E%2e/b", "secret/a%5Cb", "secret/%00"])
def test_escapes_of_what_parts_a_path_stay_refused(path):
    """Something between us and the store could decode them once more."""
    with pytest.raises(grammar.GrammarError):
        grammar.parse(f'#{{vault:"{path}"#key}}')
    assert "nothing is decoded" in vault().path_problem(path, "key", None)


def test_a_slash_at_the_end_is_the_stores_to_take():
    """Secrets Manager has such names, Vault has not."""
    assert grammar.parse("#{aws:shop/}") == (
        Expression(reference=StoreRead(store="aws", path="shop/")),
    )
    assert vault().path_problem("secret/shop/", None, None) == (
        "a Vault path does not end with a slash"
    )
