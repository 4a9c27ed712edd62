"""The stores of a laptop: refused in clusters, and plain about what is wrong with a file."""

import pytest

from injector.core import errors, stores
from injector.core.pick import pick
from injector.core.secret import MAX_DOCUMENT_BYTES
from tests.providers.file_rigs import DotenvFileRig, DotenvFolderRig, EnvironmentRig


@pytest.mark.parametrize(
    "spec", [{"dotenv": {"file": ".env"}}, {"dotenv": {"folder": "dev"}}, {"env": {}}]
)
def test_a_cluster_refuses_the_stores_of_a_laptop(spec):
    """The definition is one problem, whatever it says; the same passes on a laptop."""
    with pytest.raises(errors.Refused) as caught:
        stores.parse("dev", spec)

    assert [(problem.code, problem.what) for problem in caught.value.problems] == [
        (
            errors.STORE_SPEC,
            "is for laptops; in a cluster nobody would know whose files or variables are meant",
        )
    ]
    assert stores.parse("dev", spec, in_cluster=False).provider == next(iter(spec))


def test_a_variable_without_field_is_its_text(tmp_path):
    """No JSON is asked for where no field is."""
    rig = DotenvFileRig(tmp_path)
    rig.source("dev.env", "API_KEY='p$a#b'\n")

    (answer,) = rig.read("API_KEY")

    assert pick(answer, None).data == b"p$a#b"


def test_a_missing_name_is_met_with_the_nearest(tmp_path, monkeypatch):
    """Of a file, a folder and the environment."""
    for rig in (DotenvFileRig(tmp_path / "a"), DotenvFolderRig(tmp_path / "b")):
        rig.put("password", {"a": "b"})
        (answer,) = rig.read("pasword")
        assert (answer.code, answer.hint) == (errors.MISSING, 'did you mean "password"?')
    monkeypatch.setenv("SECRET_INJECTOR_TEST_password", "x")
    (answer,) = EnvironmentRig(tmp_path / "c").read("pasword")
    assert (answer.what, answer.hint) == (
        "no such variable in the environment",
        'did you mean "password"?',
    )


@pytest.mark.parametrize(
    ("content", "code", "what"),
    [
        (None, errors.UNAUTHENTICATED, "cannot be read: no such file or directory"),
        ("A=CANARY 'x'\n", errors.CONTENT, "is not a dotenv file: line 1 has something behind"),
        ("x" * (MAX_DOCUMENT_BYTES + 1), errors.BODY, "is larger than 8 MiB"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_without_its_content(tmp_path, content, code, what):
    """Not there, not of the form, too large."""
    rig = DotenvFileRig(tmp_path)
    (rig.sources / "dev.env").unlink()
    if content is not None:
        rig.source("dev.env", content)

    (answer,) = rig.read("A")

    assert answer.code is code
    assert what in answer.what
    assert "CANARY" not in answer.what
