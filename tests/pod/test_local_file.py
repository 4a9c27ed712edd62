"""The local store's file: nothing is lost between writing and reading, and changes are whole."""

import multiprocessing
import os
import stat

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector import local_file
from injector.core import errors
from injector.local_file import EMPTY, LocalFileError, decode, decrypt, encode, encrypt, put

NOW = "2026-01-31T12:00:00Z"
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@pytest.fixture(scope="module")
def keys():
    """Two identities: text of the identity, text of its recipient."""
    made = [pyrage.x25519.Identity.generate() for _ in range(2)]
    return [(str(key), str(key.to_public())) for key in made]


@given(
    st.lists(
        st.tuples(
            TEXTS,
            st.dictionaries(TEXTS, TEXTS | st.binary(max_size=12), max_size=3),
            st.none() | st.just("2027-01-31"),
        ),
        max_size=4,
    )
)
def test_what_is_written_is_read_back(entries):
    """Any names, texts, bytes and dates; every version is kept, in order."""
    secrets = EMPTY
    for name, data, expires in entries:
        secrets = put(secrets, name, data, created=NOW, expires=expires)

    assert decode(encode(secrets)) == secrets
    assert encode(decode(encode(secrets))) == encode(secrets)


def test_each_recipient_can_open_the_file_and_nobody_else(keys):
    """A team shares a file without sharing a key."""
    secrets = put(EMPTY, "a", {"b": "CANARY"}, created=NOW)
    stranger = str(pyrage.x25519.Identity.generate())

    sealed = encrypt(secrets, [public for _, public in keys])

    assert [decrypt(sealed, identity) for identity, _ in keys] == [secrets, secrets]
    with pytest.raises(LocalFileError) as refused:
        decrypt(sealed, stranger)
    assert refused.value.code is errors.UNAUTHENTICATED
    assert "CANARY" not in repr(secrets)


@pytest.mark.parametrize("recipients", [[], ["age1nonsense"], ["AGE-SECRET-KEY-1ZZ"]])
def test_a_file_for_nobody_is_not_written(recipients):
    """A slip must not lock everybody out, nor write a key's text anywhere."""
    with pytest.raises(LocalFileError) as refused:
        encrypt(EMPTY, recipients)

    assert refused.value.what == (
        "at least one recipient is needed, and each must be an age public key"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "it is no JSON of ours"),
        ('{"format":1}', "it is no JSON of ours"),
        ('{"format":2,"secrets":{}}', "its format is not 1"),
        ('{"format":1,"secrets":{"a":[]}}', "a mapping is missing"),
        ('{"format":1,"secrets":{"a":{"versions":[]}}}', 'the versions of "a" are not in order'),
        (
            '{"format":1,"secrets":{"a":{"versions":[{"version":0,"data":{}}]}}}',
            'a version of "a" has no number',
        ),
        (
            '{"format":1,"secrets":{"a":{"versions":[{"version":1,"data":{"k":1}}]}}}',
            'a value of "a" is neither a text nor base64',
        ),
        (
            '{"format":1,"secrets":{"a":{"versions":[{"version":1,"data":{"k":{"base64":"!"}}}]}}}',
            'a value of "a" is neither a text nor base64',
        ),
        (
            '{"format":1,"secrets":{"a":{"versions":[{"version":1,"expires":"soon","data":{}}]}}}',
            'version 1 of "a" expires at no date',
        ),
        ('{"format":1,"format":1}', "it has a key twice: line 1, column 13"),
    ],
)
def test_what_is_not_our_form_is_refused_with_its_place(text, why):
    """Names may be said, values not."""
    with pytest.raises(LocalFileError) as refused:
        decode(text.encode())

    assert refused.value.what == (f"the file opens, and its content is not what we write: {why}")


def test_a_rewrite_makes_the_file_its_owner_s_alone(keys, tmp_path):
    """0600 whatever the umask or the old file's mode; nothing else is left in the folder."""
    identity, public = keys[0]
    path = tmp_path / "store.age"
    old = os.umask(0)
    try:
        local_file.rewrite(
            path, identity, [public], lambda old: put(old, "a", {"b": "c"}, created=NOW)
        )
        path.chmod(0o644)
        local_file.rewrite(path, identity, [public], lambda old: local_file.delete(old, "zzz"))
    finally:
        os.umask(old)

    assert decrypt(path.read_bytes(), identity) == put(EMPTY, "a", {"b": "c"}, created=NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["store.age", "store.age.lock"]


def test_a_change_that_fails_leaves_the_file_as_it_was(keys, tmp_path):
    """Also when the new content cannot be encrypted; no half-written file stays."""
    identity, public = keys[0]
    path = tmp_path / "store.age"
    local_file.rewrite(path, identity, [public], lambda old: old)
    before = path.read_bytes()

    with pytest.raises(LocalFileError):
        local_file.rewrite(path, identity, ["nobody"], lambda old: old)
    with pytest.raises(ZeroDivisionError):
        local_file.rewrite(path, identity, [public], lambda old: 1 / 0)

    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["store.age", "store.age.lock"]


def _add(path, identity, public, name):
    local_file.rewrite(path, identity, [public], lambda old: put(old, name, {}, created=NOW))


def test_writers_at_the_same_time_lose_nothing(keys, tmp_path):
    """Each waits for the lock and changes what the one before left."""
    identity, public = keys[0]
    path = tmp_path / "store.age"
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=_add, args=(path, identity, public, f"s{i}")) for i in range(8)
    ]

    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)

    assert sorted(decrypt(path.read_bytes(), identity).secrets) == [f"s{i}" for i in range(8)]
