"""Addresses of stores have one strict form; places that can never be a store are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core import errors
from injector.core.fields import Fields
from injector.core.stores import address

REFUSED = (
    # plain http, and hosts that only look like the machine itself
    "http://vault.example",
    "http://vault.example:8200",
    "http://10.0.0.1",
    "http://localhost.evil.example",
    "http://127.evil.example",
    "http://127.0.0.1.evil.example",
    "http://[::2]",
    # other schemes, and none
    "ftp://vault.example",
    "file:///etc/passwd",
    "gopher://vault.example",
    "javascript:alert(1)",
    "HTTPS://vault.example",
    "vault.example",
    "//vault.example",
    "https:/vault.example",
    "https:vault.example",
    # metadata services in every spelling
    "https://169.254.169.254",
    "https://169.254.169.254:443/latest",
    "https://169.254.170.2",
    "https://0251.0376.0251.0376",
    "https://0xa9fea9fe",
    "https://0xa9.0xfe.0xa9.0xfe",
    "https://2852039166",
    "https://169.254.43518",
    "https://169.16689662",
    "https://169.254.169.0xfe",
    "https://0x7f.1",
    "https://127.1",
    "https://0",
    "https://0.0.0.0",
    "https://0.1.2.3",
    "https://255.255.255.255",
    "https://240.0.0.1",
    "https://224.0.0.1",
    "https://100.100.100.200",
    "https://168.63.129.16",
    "https://192.0.0.192",
    "https://[::ffff:a9fe:a9fe]",
    "https://[::ffff:169.254.169.254]",
    "https://[::169.254.169.254]",
    "https://[2002:a9fe:a9fe::]",
    "https://[64:ff9b::169.254.169.254]",
    "https://[2001:0:a9fe:a9fe::1]",
    "https://[fd00:ec2::254]",
    "https://[FD00:EC2:0::254]",
    "https://[fe80::1]",
    "https://[fe80::1%25eth0]",
    "https://[ff02::1]",
    "https://[::]",
    "https://[::1",
    "https://[1.2.3.4]",
    "https://metadata.google.internal",
    "https://METADATA.google.internal",
    "https://metadata",
    # user, query, fragment, escapes, dots
    "https://user@vault.example",
    "https://user:password@vault.example",
    "https://vault.example@evil.example",
    "https://vault.example#@evil.example",
    "https://vault.example#",
    "https://vault.example?x=1",
    "https://vault.example?",
    "https://vault.example\\@evil.example",
    "https://vault.example%2eevil.example",
    "https://vault.example/%2e%2e/v1",
    "https://vault.example/../v1",
    "https://vault.example/./v1",
    "https://vault.example//v1",
    "https://vault.example/a;b",
    "https://vault.example.",
    "https://vault..example",
    "https://.vault.example",
    "https://-vault.example",
    "https://vault_example",
    "https://väult.example",
    "https://vault。example",
    "https://" + "a" * 64 + ".example",
    # ports and odd characters
    "https://vault.example:0",
    "https://vault.example:65536",
    "https://vault.example:08200",
    "https://vault.example:",
    "https://vault.example:+1",
    "https://vault.example: 1",
    " https://vault.example",
    "https://vault.example ",
    "https://vault.example\n",
    "https://vault.example\r\nHost: evil",
    "https://vault.example\x00",
    "https://vault example",
    "https://",
    "https://:443",
    "",
)

TAKEN = {
    "https://vault.example": ("https", "vault.example", 443, ""),
    "https://Vault.Example:8200/": ("https", "vault.example", 8200, ""),
    "https://vault.example/base/path": ("https", "vault.example", 443, "/base/path"),
    "https://10.0.0.1:8200": ("https", "10.0.0.1", 8200, ""),
    "https://[2001:db8::1]:8200": ("https", "2001:db8::1", 8200, ""),
    "https://xn--vult-0qa.example": ("https", "xn--vult-0qa.example", 443, ""),
    "https://vault": ("https", "vault", 443, ""),
    "https://127.0.0.1:8200": ("https", "127.0.0.1", 8200, ""),
    "http://127.0.0.1:8200": ("http", "127.0.0.1", 8200, ""),
    "http://localhost:8200": ("http", "localhost", 8200, ""),
    "http://[::1]:8200": ("http", "::1", 8200, ""),
}


def _taken(text):
    problems = []
    fields = Fields(
        {"address": text}, place="spec", origin="store", code=errors.STORE_SPEC, problems=problems
    )
    return address.take(fields, "address"), problems


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_that_could_lead_elsewhere_is_refused(text):
    """The problem names the field, and what is read instead leads nowhere."""
    found, problems = _taken(text)

    assert [problem.source for problem in problems] == ["spec.address"]
    assert (found.host, found.port) == ("127.0.0.1", 1)


@pytest.mark.parametrize("text", TAKEN)
def test_a_plain_address_is_taken_apart_once(text):
    """Scheme, host, port and base are what every reader makes of it."""
    found, problems = _taken(text)

    assert problems == []
    assert (found.scheme, found.host, found.port, found.base) == TAKEN[text]
    assert _taken(found.url())[0] == found


def test_the_table_of_refusals_has_sixty_entries_and_more():
    """The table is the point of this file."""
    assert len(set(REFUSED)) == len(REFUSED) >= 60


@given(st.text(st.sampled_from("htps:/[]@#?%.\\0169x254afe-\n "), max_size=40) | st.text())
def test_any_text_is_an_address_or_a_problem(text):
    """An address that is taken reads back as itself, and is none of the forbidden."""
    found, problems = _taken(text)

    if not problems:
        assert _taken(found.url()) == (found, [])
        assert found.scheme == "https" or address.is_loopback(found)


@pytest.mark.parametrize(
    ("ip", "is_forbidden"),
    [
        ("10.1.2.3", False),
        ("93.184.216.34", False),
        ("127.0.0.1", False),
        ("::1", False),
        ("2001:db8::1", False),
        ("169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("::ffff:169.254.169.254", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("64:ff9b::808:808", False),
    ],
)
def test_the_peer_is_judged_again_by_its_address(ip, is_forbidden):
    """What a name resolved to may be refused after the name was taken."""
    assert address.is_forbidden_peer(ip) is is_forbidden
