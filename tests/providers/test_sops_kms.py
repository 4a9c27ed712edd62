"""Files of SOPS whose data key AWS KMS opens: moto's KMS behind gate and fault proxy."""

import base64

import boto3
import pytest
from botocore.config import Config

from injector.core import errors
from tests.providers import sops_writer
from tests.providers.aws_rigs import REGION, SecretsManagerRig
from tests.providers.rigs import revealed

CONTEXT = {"app": "shop"}


@pytest.fixture
def kms(tmp_path):
    """A store whose file is sealed by a key of KMS, bound to a context."""
    rig = SecretsManagerRig(tmp_path)
    client = boto3.client(
        "kms",
        endpoint_url=rig.aws.url,
        region_name=REGION,
        aws_access_key_id="AKIASETUP",
        aws_secret_access_key="setup",
        config=Config(proxies={}),
    )
    arn = client.create_key()["KeyMetadata"]["Arn"]

    def write(context=CONTEXT, arn_in_file=arn):
        def seal(key):
            blob = client.encrypt(KeyId=arn, Plaintext=key, EncryptionContext=CONTEXT)
            enc = base64.b64encode(blob["CiphertextBlob"]).decode()
            return "kms", {"arn": arn_in_file, "enc": enc, "context": context}

        file = sops_writer.encrypt({"plain": {"user": "shop"}}, seal)
        rig.source("configmaps/file/all.json", file)

    aws = rig.document()
    file = {"configMapRef": {"name": "file", "key": "all.json"}}
    spec = {"timeout": "2s", "sops": {"file": file, "kms": aws["awsSecretsManager"]}}
    rig.document = lambda: spec
    rig.write = write
    write()
    yield rig
    client.close()
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
