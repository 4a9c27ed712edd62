"""A rig of files of SOPS whose data key AWS KMS opens: moto's KMS behind gate and fault proxy."""

import base64

from tests.providers import sops_writer
from tests.providers.aws_rigs import SecretsManagerRig

CONTEXT = {"app": "shop"}


class SopsKmsRig(SecretsManagerRig):
    """One file, sealed by the key `arn` and bound to a context; entered as AWS's stores are."""

    def __init__(self, folder):
        super().__init__(folder)
        self.kms = self.aws.client("kms")
        self.arn = self.kms.create_key()["KeyMetadata"]["Arn"]

    def write(self, *, context=CONTEXT, arn_in_file=None):
        """Write a file that says of its key what it is told to say."""

        def seal(key):
            blob = self.kms.encrypt(KeyId=self.arn, Plaintext=key, EncryptionContext=CONTEXT)
            enc = base64.b64encode(blob["CiphertextBlob"]).decode()
            return "kms", {"arn": arn_in_file or self.arn, "enc": enc, "context": context}

        file = sops_writer.encrypt({"plain": {"user": "shop"}}, seal)
        self.source("configmaps/file/all.json", file)

    def document(self, name="all.json", **aws):
        spec = super().document(**aws)
        file = {"configMapRef": {"name": "file", "key": name}}
        return {"timeout": "2s", "sops": {"file": file, "kms": spec[self.name]}}

    def close(self):
        self.kms.close()
        super().close()
