"""Certificates in definitions: what people paste is read, what is damaged is told there."""

import base64

import pytest

from injector.core import stores
from injector.core.errors import Refused
from injector.core.stores import trust
from tests import authorities

FIRST, SECOND = authorities.FIRST, authorities.SECOND
LOGIN = {"auth": {"kubernetes": {"role": "shop"}}}
VAULT = {"address": "https://vault.example.org:8200", **LOGIN}


def problems(vault):
    """The problems of a store of Vault, as lines."""
    with pytest.raises(Refused) as refused:
        stores.parse("vault", {"vault": vault})
    return [f"{p.code.id} {p.source}: {p.what}" for p in refused.value.problems]


@pytest.mark.parametrize(
    ("pasted", "read"),
    [
        (FIRST, FIRST),
        (FIRST + SECOND, FIRST + SECOND),
        (
            f"# the authorit\N{LATIN SMALL LETTER Y WITH ACUTE}\nCN=first\n{FIRST}\n{SECOND}",
            FIRST + SECOND,
        ),
        (FIRST.replace("\n", "\r\n"), FIRST),
        (FIRST.replace("\n", "\n    "), FIRST),
        (base64.b64encode((FIRST + SECOND).encode()).decode(), FIRST + SECOND),
        (base64.encodebytes(FIRST.encode()).decode(), FIRST),
        (FIRST + FIRST, FIRST + FIRST),
    ],
    ids=["one", "two", "text-around", "crlf", "indented", "base64", "base64-in-lines", "twice"],
)
def test_what_people_paste_is_read(pasted, read):
    """The store has the certificates alone, in the form that OpenSSL takes."""
    store = stores.parse("vault", {"vault": {**VAULT, "caBundle": pasted}})

    assert store.spec.server.ca_bundle == read


LINES = FIRST.splitlines(keepends=True)
KEY = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
DER = base64.b64encode(base64.b64decode("".join(FIRST.split("-----")[2].split()))).decode()


@pytest.mark.parametrize(
    ("pasted", "what"),
    [
        ("".join(LINES[:-1]), "certificate 1 has no line -----END CERTIFICATE-----"),
        ("".join(LINES[:2] + LINES[3:]), "certificate 1 is damaged: it cannot be read"),
        (SECOND + "".join(LINES[:1] + LINES[-1:]), "certificate 2 is damaged: it cannot be read"),
        (FIRST + KEY, "holds a PRIVATE KEY; only certificates (BEGIN CERTIFICATE) are read"),
        ("vault-ca", "must be PEM certificates (BEGIN CERTIFICATE)"),
        ("/etc/ssl/ca.pem,", "must be PEM certificates (BEGIN CERTIFICATE)"),
        (
            DER,
            "is a certificate in DER; convert it: openssl x509 -inform der -outform pem",
        ),
    ],
    ids=["no-end", "a-line-lost", "empty", "key", "name", "path", "der"],
)
def test_damage_is_a_problem_of_the_definition(pasted, what):
    """It names the field and the certificate, before any pod meets it."""
    assert problems({**VAULT, "caBundle": pasted}) == [f"SI-111 spec.vault.caBundle: {what}"]


def test_damage_in_a_fallback_names_the_fallback():
    """Beside the other problems of the definition."""
    fallback = {"address": "https://w.example.org:8200", "caBundle": "".join(LINES[:-1])}

    assert problems({**VAULT, "caBundle": "x", "fallbacks": [fallback]}) == [
        "SI-111 spec.vault.caBundle: must be PEM certificates (BEGIN CERTIFICATE)",
        f"SI-111 spec.vault.fallbacks[0].caBundle: certificate 1 has no line {LINES[-1].strip()}",
    ]


def test_a_private_key_is_refused_without_a_word_of_it():
    """A message names the kind of what was pasted, and nothing of its content."""
    with pytest.raises(trust.Damaged) as damaged:
        trust.certificates(KEY.replace("AAAA", "CANARY"))

    assert "CANARY" not in str(damaged.value)
