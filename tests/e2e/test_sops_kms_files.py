"""Files that the real sops sealed by AWS KMS, which is moto's behind gate and fault proxy."""

import json

import pytest

from injector.core import errors
from injector.core.pick import pick
from tests.e2e.sops_rig import new_key, sops
from tests.providers.aws_rigs import REGION
from tests.providers.kms_rig import CONTEXT, SopsKmsRig
from tests.providers.rigs import revealed


class RealKmsRig(SopsKmsRig):
    """The store's file comes from sops, which asks the same KMS with keys of its own."""

    def __init__(self, folder):
        super().__init__(folder)
        self.work = folder / "work"
        self.work.mkdir()

    def sops(self, *arguments):
        """Run sops as somebody who may encrypt."""
        return sops(
            *arguments,
            folder=self.work,
            AWS_ENDPOINT_URL_KMS=self.aws.url,
            AWS_REGION=REGION,
            AWS_ACCESS_KEY_ID="AKIASETUP",
            AWS_SECRET_ACCESS_KEY="setup",
            AWS_EC2_METADATA_DISABLED="true",
        )

    def encrypt(self, name, text, **more):
        """Encrypt for the key and its context, and for what else is said."""
        group = {"kms": [{"arn": self.arn, "context": CONTEXT}], **more}
        (self.work / ".sops.yaml").write_text(
            json.dumps({"creation_rules": [{"key_groups": [group]}]})
        )
        (self.work / name).write_text(text)
        self.sops("encrypt", "-i", name)
        self.keep(name)

    def keep(self, name):
        """Put a file of the work folder where the store reads it."""
        self.source(f"configmaps/file/{name}", (self.work / name).read_bytes())


@pytest.fixture
def rig(tmp_path):
    """A store for files sealed by KMS."""
    made = RealKmsRig(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("all.yaml", "plain: {user: shop}\n"),
        ("all.json", '{"plain": {"user": "shop"}}'),
        ("all.env", "plain=shop\n"),
    ],
)
def test_a_file_of_each_form_is_opened_with_its_context(rig, name, text):
    """One login, one call; the context is what sops wrote into the file."""
    rig.encrypt(name, text)

    (answer,) = rig.read("plain", document=rig.document(name))

    assert pick(answer, None).data == (b"shop" if name == "all.env" else b'{"user":"shop"}')
    assert rig.aws.actions == ["AssumeRoleWithWebIdentity", "Decrypt"]
    assert rig.aws.asked[1][1]["EncryptionContext"] == CONTEXT


def test_a_file_for_a_key_of_age_as_well_is_opened_by_either(rig):
    """The pod by KMS, people by their own key: sops seals one data key for both."""
    file, recipient = new_key(rig.work, "key.txt")
    rig.encrypt("all.json", '{"plain": {"user": "shop"}}', age=[recipient])
    rig.source("secrets/key/identity", file.read_bytes())
    by_kms = rig.document()
    identity = {"secretRef": {"name": "key", "key": "identity"}}
    by_age = {"sops": {"file": by_kms["sops"]["file"], "identity": identity}}

    answers = [rig.read("plain", document=document)[0] for document in (by_kms, by_age)]

    assert [revealed(answer) for answer in answers] == [{"user": "shop"}] * 2
    assert rig.aws.actions.count("Decrypt") == 1


def test_a_file_is_read_after_sops_has_edited_and_rotated_it(rig):
    """Sops opens the data key by KMS for itself, and seals another one."""
    rig.encrypt("all.json", '{"plain": {"user": "shop"}}')
    rig.sops("set", "all.json", '["plain"]["user"]', '"new"')
    rig.sops("rotate", "-i", "all.json")
    rig.keep("all.json")

    (answer,) = rig.read("plain")

    assert revealed(answer) == {"user": "new"}


def test_a_context_that_somebody_changed_opens_nothing(rig):
    """KMS holds the key to the context that it was sealed with."""
    rig.encrypt("all.json", '{"plain": {"user": "shop"}}')
    document = json.loads((rig.work / "all.json").read_bytes())
    document["sops"]["kms"][0]["context"] = {"app": "other"}
    rig.source("configmaps/file/all.json", json.dumps(document))

    (answer,) = rig.read("plain")

    assert (answer.code, answer.what) == (
        errors.CONTENT,
        "KMS finds the sealed key damaged, or bound to another key or context",
    )
