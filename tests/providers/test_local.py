"""The local store: what is wrong with the file is told apart, and dates are kept."""

from pathlib import Path

import pyrage
import pytest

from injector import local_file
from injector.core import errors
from tests.providers.file_rigs import LocalInImageRig, LocalRig, SopsInImageRig, SopsRig
from tests.providers.rigs import revealed


@pytest.fixture
def rig(request, tmp_path):
    """A file with one secret."""
    made = getattr(request, "param", LocalRig)(tmp_path)
    made.put("shop/db", {"user": "shop"})
    return made


@pytest.mark.parametrize(
    ("place", "content", "code", "what"),
    [
        (
            "configmaps/file/store.age",
            b"DB_PASSWORD=x\n",
            errors.CONTENT,
            "the file is not encrypted by age, or damaged at its beginning",
        ),
        (
            "configmaps/file/store.age",
            pyrage.passphrase.encrypt(b"{}", "x"),
            errors.CONTENT,
            "the file is encrypted with a passphrase, and nobody is there to type it",
        ),
        (
            "secrets/key/identity",
            str(pyrage.x25519.Identity.generate()).encode(),
            errors.UNAUTHENTICATED,
            "the file is encrypted for other keys than the identity",
        ),
        ("secrets/key/identity", b"", errors.UNAUTHENTICATED, "the identity holds no age key"),
        (
            "secrets/key/identity",
            b"AGE-SECRET-KEY-1ZZZ\n",
            errors.UNAUTHENTICATED,
            "the identity holds no age key",
        ),
        (
            "secrets/key/identity",
            None,
            errors.UNAUTHENTICATED,
            "the identity (Secret key, key identity) is not there",
        ),
        (
            "configmaps/file/store.age",
            None,
            errors.DOWN,
            "the file (ConfigMap file, key store.age) is not there (3 tries)",
        ),
    ],
)
def test_each_thing_that_can_be_wrong_has_its_own_words(rig, place, content, code, what):
    """Not ours, wrong key, no key, not there."""
    (rig.sources / place).unlink()
    if content is not None:
        rig.source(place, content)

    (answer,) = rig.read("shop/db")

    assert (answer.code, answer.what) == (code, what)


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_damaged_file_is_told_apart_from_a_wrong_key(rig, is_cut):
    """The header says that the key fits; the rest is not what was written."""
    data = pyrage.encrypt(local_file.encode(rig.secrets), [rig.identity.to_public()])
    rig.source("configmaps/file/store.age", data[:-9] + (b"" if is_cut else b"x" * 9))

    (answer,) = rig.read("shop/db")

    assert (answer.code, answer.what) == (errors.CONTENT, "the file is damaged or cut off")


def test_a_binary_age_file_opens_as_well_as_an_armoured_one(rig):
    """Both forms of the age format are read."""
    public = rig.identity.to_public()
    rig.source(
        "configmaps/file/store.age", pyrage.encrypt(local_file.encode(rig.secrets), [public])
    )

    (answer,) = rig.read("shop/db")

    assert answer.reveal() == {"user": "shop"}


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o604, 0o660])
@pytest.mark.parametrize("rig", [LocalRig, SopsRig], indirect=True)
def test_on_a_laptop_an_identity_that_others_can_read_is_refused(rig, mode):
    """As ssh has it; in a cluster the kubelet's mode is none of ours."""
    ((kind, spec),) = rig.document().items()
    key = rig.sources / "secrets/key/identity"
    key.chmod(mode)
    file = rig.sources / "configmaps/file" / spec["file"]["configMapRef"]["key"]
    rig.is_in_cluster = False
    document = {kind: {"file": {"file": str(file)}, "identity": {"file": str(key)}}}

    (answer,) = rig.read("shop/db", document=document)
    rig.is_in_cluster = True
    (in_cluster,) = rig.read("shop/db")

    assert revealed(in_cluster) == {"user": "shop"}
    if mode & 0o077 == 0:
        assert revealed(answer) == {"user": "shop"}
        return
    assert (answer.code, answer.what, answer.hint) == (
        errors.UNAUTHENTICATED,
        f"the identity ({key}) can be read by others than its owner",
        f"chmod 600 {key}",
    )


@pytest.mark.parametrize("rig", [LocalInImageRig, SopsInImageRig], indirect=True)
def test_a_file_that_is_not_in_the_image_is_told_at_once(rig):
    """Waiting brings nothing into an image, and no default stands in for all of it."""
    ((_, spec),) = rig.document().items()
    path = spec["file"]["imagePath"]
    Path(path).unlink()

    (answer,) = rig.read("shop/db")

    assert (answer.code, answer.hint, rig.waits) == (
        errors.CONTENT,
        "the chart's image must be one built with the file, readable by everybody",
        [],
    )
    assert f"the file ({path} of the injector's image) " in answer.what


def test_a_missing_secret_or_version_names_what_is_there(rig):
    """Names are not secret, and save a look into the file."""
    rig.put("shop/mail", {"user": "m"})

    secret, version = rig.read("shop/dv", ("shop/db", "4"))

    assert (secret.what, secret.hint) == (
        "no such secret; secrets there: shop/db, shop/mail",
        'did you mean "shop/db"?',
    )
    assert version.what == "no such version; versions there: 1"


def test_an_expired_version_is_not_given_out(rig):
    """The date is the first day on which it is no longer good."""
    rig.secrets = local_file.put(
        rig.secrets, "old", {"a": "b"}, created="2020-01-01T00:00:00Z", expires="2020-02-01"
    )
    rig.put("shop/db", {"user": "new"})

    (answer,) = rig.read("old")

    assert (answer.code, answer.what) == (
        errors.EXPIRED_VALUE,
        "version 1 expired on 2020-02-01",
    )
