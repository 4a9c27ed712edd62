"""The local store beside the age program: each opens what the other wrote."""

import os
import pty
import select
import shutil
import subprocess
import time

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from injector import local_file, sops_file, sops_format
from injector.core import errors
from injector.local_file import LocalFileError
from tests.providers import sops_writer
from tests.providers.file_rigs import LocalRig

SECRETS = local_file.put(
    local_file.EMPTY,
    "shop/db",
    {"user": "shop", "password": 'p"ä\n', "der": bytes(range(256))},
    created="2026-01-31T12:00:00Z",
    expires="2999-01-31",
)
STORE = "configmaps/file/store.age"


def age(*arguments, program="age", data=None):
    """Run the program and return what it writes."""
    if not shutil.which(program):
        pytest.fail(f"please install {program}: apt-get install age")
    return subprocess.run([program, *arguments], input=data, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Three identity files of age-keygen, each with its recipient."""
    folder = tmp_path_factory.mktemp("keys")
    files = [folder / f"{name}.txt" for name in ("ann", "bob", "eve")]
    for file in files:
        age("-o", file, program="age-keygen")
    return {file: age("-y", file, program="age-keygen").decode().strip() for file in files}


@pytest.fixture
def rig(tmp_path, keys):
    """A store with the first identity file, comments and all."""
    made = LocalRig(tmp_path)
    made.source("secrets/key/identity", next(iter(keys)).read_bytes())
    return made


def test_age_opens_what_we_wrote_with_the_key_of_either_reader(keys, tmp_path):
    """Nobody is locked into this program, and nobody else gets in."""
    (ann, bob, eve), (for_ann, for_bob, _) = keys, keys.values()
    path = tmp_path / "store.age"

    local_file.rewrite(path, ann.read_text(), [for_ann, for_bob], lambda old: SECRETS)

    assert [age("-d", "-i", key, path) for key in (ann, bob)] == [local_file.encode(SECRETS)] * 2
    with pytest.raises(subprocess.CalledProcessError, match="exit status 1"):
        age("-d", "-i", eve, path)


@pytest.mark.parametrize("form", [(), ("-a",)])
def test_we_open_what_age_encrypted_in_either_form(rig, keys, form):
    """Binary or armoured, for several readers, of whom we are the last."""
    readers = [word for public in reversed(keys.values()) for word in ("-r", public)]
    sealed = age(*form, *readers, data=local_file.encode(SECRETS))
    rig.source(STORE, sealed)

    (answer,) = rig.read("shop/db")

    assert sealed.startswith(b"-----BEGIN AGE" if form else b"age-encryption.org/v1\n")
    assert answer.reveal() == SECRETS.secrets["shop/db"][0].data
    assert local_file.reader_count(sealed) == 3


def test_an_identity_file_of_age_keygen_is_one_of_ours(keys):
    """Its comments are left alone, and the recipient is the one that age shows."""
    for file, public in keys.items():
        assert local_file.recipients(file.read_text()) == [public]


def test_a_file_for_many_readers_has_a_place_for_every_one():
    """A large team shares a file; each opens it, and all of them are counted."""
    team = [pyrage.x25519.Identity.generate() for _ in range(40)]

    sealed = local_file.encrypt(SECRETS, [str(each.to_public()) for each in team])

    assert local_file.reader_count(sealed) == 40
    for each in team:
        assert local_file.decrypt(sealed, str(each)) == SECRETS


def test_a_file_for_a_key_of_ssh_is_for_somebody_else(rig):
    """The program takes such recipients; an age identity opens no such file."""
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    rig.source(STORE, age("-r", public.public_bytes(*form).decode(), data=b"{}"))

    (answer,) = rig.read("shop/db")

    assert (answer.code, answer.what) == (
        errors.UNAUTHENTICATED,
        "the file is encrypted for other keys than the identity",
    )


def with_passphrase(path):
    """Let age encrypt the file with a passphrase, typed at a terminal."""
    ours, theirs = pty.openpty()
    command = f"exec <{os.ttyname(theirs)} && exec age -p -o {path}.age {path}"
    with subprocess.Popen(
        ["/bin/sh", "-c", command], start_new_session=True, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        said = b""
        while select.select([ours], [], [], 20)[0]:
            try:
                said += os.read(ours, 1024)
            except OSError:  # the terminal has no other end any more
                break
            if said.rstrip().endswith(b":"):
                os.write(ours, b"correct horse battery staple\n")
                said = b""
        try:
            process.wait(5)
        finally:
            process.kill()  # harms none that has ended, and ends one that asks something else
    os.close(ours)
    assert process.returncode == 0, said
    return path.with_name(path.name + ".age").read_bytes()


def test_a_file_with_a_passphrase_is_refused_in_words_that_say_so(rig, tmp_path):
    """Nobody is there to type it."""
    path = tmp_path / "plain.json"
    path.write_bytes(local_file.encode(SECRETS))
    rig.source(STORE, with_passphrase(path))

    (answer,) = rig.read("shop/db")

    assert (answer.code, answer.what, answer.hint) == (
        errors.CONTENT,
        "the file is encrypted with a passphrase, and nobody is there to type it",
        "encrypt it for a recipient: age -r age1...",
    )


SCRYPT = "-> scrypt bBjlhJVYZeE4aqUdmtRHfw 40\nZV/AhotwSGqaPCU43cepl4WYUouAa17a3xpu4G2yi5k\n"
"""Asks for 2**40 rounds."""
X25519 = (
    "-> X25519 XEl0dJ6y3C7KZkgmgWUicg63EyXJiwBJW8PdYJ/cYBE\n"
    "qRJTq2CTAn5UBDCkMyVBbRjKQWnCkXwjbSJHsWdcAqM\n"
)


@pytest.mark.parametrize("stanzas", [SCRYPT, X25519 + SCRYPT, SCRYPT + X25519])
def test_no_header_makes_us_compute(keys, stanzas):
    """What a passphrase costs is its writer's choice, up to years; we do none of that work."""
    identity = next(iter(keys)).read_text()
    sealed = f"age-encryption.org/v1\n{stanzas}--- {'A' * 43}\n{'x' * 48}"
    entry = {"recipient": "age1x", "enc": sealed}
    file = sops_writer.encrypt({"a": "b"}, lambda _: ("age", entry))
    began_s = time.process_time()

    with pytest.raises(LocalFileError) as of_local:
        local_file.decrypt(sealed.encode(), identity)
    with pytest.raises(LocalFileError) as of_sops:
        sops_file.age_key(sops_format.parse(file, "json"), identity)

    assert time.process_time() - began_s < 0.5
    assert of_local.value.code is errors.CONTENT
    assert of_sops.value.code is errors.UNAUTHENTICATED
