"""A3: what stands in a store costs no more than its length to read."""

import contextlib

import pytest

from injector.core import dotenv
from injector.providers.azure import certificate
from tests.effort import cpu_s

KIB = 1024
BEHIND = "has something behind its value; quote values with quotes, blanks or #"


def read(data):
    """Parse a dotenv file, whatever becomes of it."""
    try:
        return dotenv.parse(data.encode())
    except dotenv.NotDotenv as error:
        return str(error)


@pytest.mark.parametrize("end", ["", "x", "'", "\nB=1\n", "#"])
@pytest.mark.parametrize("start", ["", "A=", "A=x", "export ", "A='", 'A="'])
@pytest.mark.parametrize(
    "piece", [" ", "\t", " \t", "#", " #", "'", '"', "\\", "\\n", "\n", "\r", "=", "a", "$"]
)
def test_64_kib_of_a_dotenv_file_cost_less_than_50_ms(piece, start, end):
    """The reported 16 KB of blanks took 1.8 s."""
    text = start + piece * (64 * KIB // len(piece)) + end

    assert cpu_s(lambda: read(text), runs=2) < 0.05


def test_many_lines_are_counted_once():
    """The number of a line is known without going back to the first."""
    text = "".join(f"A{at}=x\n" for at in range(10_000))

    assert cpu_s(lambda: read(text), runs=2) < 0.1
    assert read(text + "A1=x\n") == 'line 10001 sets "A1" again'


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=x  y \t# z\n", {"A": "x  y"}),
        ("A=x#y\n", {"A": "x#y"}),
        ("A= # y\n", {"A": ""}),
        ("A=   \n", {"A": ""}),
        ("A=x \t\nB=\\\n", f"line 2 {BEHIND}"),
        ("A=it's\n", f"line 1 {BEHIND}"),
        ("A=x # it's\n", {"A": "x"}),
    ],
)  # fmt: skip
def test_bare_values_mean_what_they_meant(text, values):
    """Blanks around a value go, a comment needs a blank before it."""
    assert read(text) == values


def to_pem(text):
    """Take a certificate apart, whatever becomes of it."""
    with contextlib.suppress(certificate.NotCertificate, certificate.NoKey):
        certificate.to_pem(text, certificate.PEM, "")


@pytest.mark.parametrize(
    "piece",
    [
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----x-----END RSA PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\n",
        "-----BEGIN ",
        "-----",
        "A ",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_216_kb_of_a_key_vaults_secret_cost_a_fraction_of_a_second(piece):
    """Each beginning of a key was read to the end of the secret, which took 7.5 s."""
    text = piece * (216_000 // len(piece))

    assert cpu_s(lambda: to_pem(text), runs=2) < 0.2
