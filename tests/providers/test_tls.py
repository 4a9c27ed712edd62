"""Whom a store behind a network is trusted to be: without that, not a byte is sent."""

import ssl

import pytest

from injector.core import errors
from injector.core.secret import Secret
from tests.providers.certificates import Authority
from tests.providers.conftest import NETWORK
from tests.providers.failing import FINE, failed


@pytest.fixture(autouse=True)
def _secret(remote):
    remote.put("plain", FINE)


@pytest.mark.parametrize(
    ("certificate", "what"),
    [
        ({"ends": -0.5}, "its certificate has expired"),
        ({"starts": 1}, "its certificate is not valid yet; is the clock right?"),
        ({"name": "10.0.0.1"}, "its certificate is for 10.0.0.1"),
    ],
)
def test_a_certificate_that_cannot_be_trusted_says_why(remote, certificate, what):
    """Expired, early and wrong name are three sentences; nothing was sent."""
    remote.proxy.context = remote.authority.context(**certificate)

    failure = failed(remote.read("plain")[0])

    assert failure.code is errors.TLS
    assert failure.what == f"127.0.0.1 is not trusted: {what} (3 tries)"
    assert remote.proxy.seen == []


def test_an_authority_we_do_not_know_is_not_trusted(remote, tmp_path):
    """Another CA, or the system's own, does not vouch for the store."""
    other = tmp_path / "other"
    other.mkdir()
    remote.proxy.context = Authority(other).context()

    failure = failed(remote.read("plain")[0])

    assert failure.code is errors.TLS
    assert "authority that caBundle does not hold" in failure.what
    assert remote.proxy.seen == []


@pytest.mark.parametrize(
    "remote", [name for name, rig in NETWORK.items() if rig.has_server_name], indirect=True
)
def test_a_server_name_may_differ_from_the_address(remote):
    """Where a store may name its server, the certificate is held against that name alone."""
    remote.proxy.context = remote.authority.context(name="vault.shop.svc")

    wrong, right = (
        remote.read("plain", document=remote.document(tlsServerName=name))[0]
        for name in ("other.shop.svc", "vault.shop.svc")
    )

    assert failed(wrong).what == (
        "other.shop.svc is not trusted: its certificate is for vault.shop.svc (3 tries)"
    )
    assert failed(wrong).hint == "set tlsServerName to it, or fix the address"
    assert isinstance(right, Secret)


@pytest.mark.parametrize("listed", ["root", "intermediate", "server"])
def test_what_the_bundle_lists_is_trusted_whatever_its_place_in_the_chain(remote, tmp_path, listed):
    """The server sends its own certificate and the intermediate; each of the three vouches."""
    (tmp_path / "chain").mkdir()
    intermediate = Authority(tmp_path / "chain", above=remote.authority)
    remote.proxy.context = intermediate.context()
    root = remote.authority.pem
    remote.authority.pem = {
        "root": root,
        "intermediate": intermediate.pem,
        "server": intermediate.last,
    }[listed]

    assert isinstance(remote.read("plain")[0], Secret)


def test_a_listed_certificate_still_has_to_be_for_the_name(remote):
    """The server's own certificate in the bundle vouches for the names in it alone."""
    remote.proxy.context = remote.authority.context(name="10.0.0.1")
    remote.authority.pem = remote.authority.last

    failure = failed(remote.read("plain")[0])

    assert failure.code is errors.TLS
    assert failure.what == ("127.0.0.1 is not trusted: its certificate is for 10.0.0.1 (3 tries)")
    assert "fix the address" in failure.hint
    assert remote.proxy.seen == []


def test_the_names_of_a_certificate_that_is_not_trusted_are_not_told(remote, tmp_path):
    """Who is not trusted has no say in what a message advises."""
    (tmp_path / "other").mkdir()
    remote.proxy.context = Authority(tmp_path / "other").context(name="evil.example.org")

    failure = failed(remote.read("plain")[0])

    assert "evil" not in failure.what + failure.hint


def test_old_tls_is_not_spoken(remote):
    """TLS 1.1 and older count as no TLS."""
    context = remote.authority.context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    remote.proxy.context = context

    failure = failed(remote.read("plain")[0])

    assert failure.code is errors.TLS
    assert remote.proxy.seen == []


def test_a_server_without_tls_gets_nothing(remote):
    """Plain HTTP on the port is no store."""
    remote.proxy.context = None

    failure = failed(remote.read("plain")[0])

    assert failure.code in (errors.TLS, errors.DOWN)
    assert remote.proxy.seen == []
