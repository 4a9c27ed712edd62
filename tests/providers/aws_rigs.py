"""The rigs of the AWS stores: moto behind gate and fault proxy, entered by web identity."""

import json
import uuid

from tests.providers.aws_gate import Aws
from tests.providers.certificates import Authority
from tests.providers.fault_proxy import FaultProxy
from tests.providers.rigs import CREDENTIAL, Rig

REGION = "eu-central-1"
ROLE = "arn:aws:iam::123456789012:role/shop"


class AwsRig(Rig):
    """What both have in common."""

    def __init__(self, folder):
        super().__init__(folder)
        self.authority = Authority(folder)
        self.aws = Aws()
        self.aws.web_tokens.add(CREDENTIAL)
        self.proxy = FaultProxy(self.authority.context(), self.aws.server_address)
        self.source("tokens/store", f"{CREDENTIAL}\n")
        self.setup = self.aws.client(self.service)

    def document(self, address=None, **aws):
        address = address or f"https://127.0.0.1:{self.proxy.port}"
        return {
            "timeout": "5s",
            self.name: {
                "region": REGION,
                "endpoint": address,
                "stsEndpoint": address,
                "caBundle": self.authority.pem,
                "auth": {"webIdentity": {"roleArn": ROLE}},
                **aws,
            },
        }

    def is_login(self, request):
        """Say whether a recorded request was a login."""
        return request.body.startswith(b"Action=")

    def expire_logins(self):
        """Let all keys given so far expire."""
        self.aws.expire_keys()

    def revoke_logins(self):
        """Let AWS know none of the keys given so far."""
        for key in [key for key in self.aws.keys if key.startswith("ASIA")]:
            del self.aws.keys[key]

    def forbid(self):
        """Deny all reading."""
        denied = (400, "AccessDeniedException", "User CANARY is not authorized to perform")
        self.aws.refusals.update(dict.fromkeys(self.reading, denied))

    def refuse_logins(self):
        """Trust no token from now on."""
        self.aws.web_tokens.clear()

    def close(self):
        self.setup.close()
        self.proxy.close()
        self.aws.close()


class SecretsManagerRig(AwsRig):
    """AWS Secrets Manager; what is put is one JSON text."""

    name, service = "awsSecretsManager", "secretsmanager"
    has_versions = True
    names = (*Rig.names, "/with/a/slash", "plus+eq=at@dot._", "db-AbCdEf")
    largest = 60_000
    reading = ("BatchGetSecretValue", "GetSecretValue")

    def put(self, name, data):
        text = json.dumps(data)
        try:
            self.setup.create_secret(Name=name, SecretString=text)
        except self.setup.exceptions.ResourceExistsException:
            self.setup.put_secret_value(SecretId=name, SecretString=text)

    def previous(self, name):
        """Return the staging label that AWS moves along."""
        return "AWSPREVIOUS"

    def version(self, name, number):
        """Return the id of the first or second version: two are all that have a label."""
        if number > 2:
            return str(uuid.uuid4())
        stage = (self.previous(name), "AWSCURRENT")[number - 1]
        versions = self.setup.list_secret_version_ids(SecretId=name)["Versions"]
        return next(v["VersionId"] for v in versions if stage in v["VersionStages"])


class ParameterStoreRig(AwsRig):
    """AWS Parameter Store; what is put is one JSON text in a SecureString."""

    name, service = "awsParameterStore", "ssm"
    has_versions = True
    names = ("plain", "with.dots-and_dashes", "/deep/er/path")
    largest = 8_000
    reading = ("GetParameters", "GetParametersByPath")

    def put(self, name, data):
        text = json.dumps(data)
        self.setup.put_parameter(
            Name=name, Value=text, Type="SecureString", Tier="Advanced", Overwrite=True
        )
