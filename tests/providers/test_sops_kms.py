"""Files of SOPS whose data key AWS KMS opens, and every way in which it does not."""

import pytest

from injector.core import errors
from tests.providers.kms_rig import CONTEXT, SopsKmsRig
from tests.providers.rigs import revealed


@pytest.fixture
def kms(tmp_path):
    """A store whose file is sealed by a key of KMS, bound to a context."""
    rig = SopsKmsRig(tmp_path)
    rig.write()
    yield rig
    rig.close()


def test_the_data_key_is_opened_by_kms_with_the_pods_identity(kms):
    """One login, one call; the key and the context are those of the file."""
    (answer,) = kms.read("plain")

    assert revealed(answer) == {"user": "shop"}
    assert kms.aws.actions == ["AssumeRoleWithWebIdentity", "Decrypt"]
    assert kms.aws.asked[1][1]["EncryptionContext"] == CONTEXT


def test_another_context_opens_nothing(kms):
    """KMS refuses; nothing is read."""
    kms.write(context={"app": "other"})

    (answer,) = kms.read("plain")

    assert answer.code is errors.CONTENT
    assert answer.what == "KMS finds the sealed key damaged, or bound to another key or context"


def test_a_key_of_another_region_is_named(kms):
    """Nothing is asked of KMS."""
    kms.write(arn_in_file="arn:aws:kms:us-west-2:123456789012:key/1")

    (answer,) = kms.read("plain")

    assert answer.code is errors.UNAUTHENTICATED
    assert answer.what.startswith("the file's keys are in none of the store's regions: arn:aws:kms")
    assert "Decrypt" not in kms.aws.actions


def test_what_the_identity_may_not_open_is_said_as_that(kms):
    """With who it is and what to allow."""
    kms.aws.refusals["Decrypt"] = (400, "AccessDeniedException", "not authorized: kms:Decrypt")

    (answer,) = kms.read("plain")

    assert (answer.code, answer.what) == (
        errors.FORBIDDEN,
        "the KMS key does not decrypt it for this identity",
    )
    assert "arn:aws:iam" in answer.identity
