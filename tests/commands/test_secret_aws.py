"""`secret` on AWS: what is put is JSON that pods read, keys of KMS and types stay as they are."""

import json
import re

import pytest

from tests.commands.laptop import run
from tests.providers.aws_rigs import REGION, ParameterStoreRig, SecretsManagerRig


@pytest.fixture(params=[SecretsManagerRig, ParameterStoreRig])
def aws(request, tmp_path):
    """Moto behind its gate, entered with an access key from files."""
    rig = request.param(tmp_path)
    here = tmp_path / ".secret-injector"
    here.mkdir()
    rig.aws.keys["AKIADEVELOPER"] = "developer"
    (here / "id").write_text("AKIADEVELOPER")
    (here / "key").write_text("developer")
    keys = {"accessKeyId": {"file": "id"}, "secretAccessKey": {"file": "key"}}
    spec = rig.document(auth={"keys": keys})
    document = {"kind": "ClusterSecretStore", "metadata": {"name": "aws"}, "spec": spec}
    (here / "stores.yaml").write_text(json.dumps(document))
    rig.secret = lambda *argv, **options: run(tmp_path, "secret", *argv, **options)
    yield rig
    rig.close()


def shown(aws, *options):
    """Return the values of the secret."""
    done = aws.secret("get", "/shop/db", "--reveal", "-o", "json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_a_secret_lives_from_creation_to_deletion(aws):
    """Set, set more, look, list, go back, delete."""
    first = aws.secret("set", "/shop/db", "password", input="one", stdin=None)
    second = aws.secret("set", "/shop/db", "--data", "user=app", "--data", "password=two")
    listed = aws.secret("list", "/shop")
    history = aws.secret("history", "/shop/db", "-o", "json")
    versions = [entry["version"] for entry in json.loads(history.stdout)]
    both = shown(aws)
    # Moto's dates have whole seconds, so the order of versions of one second is not known.
    oldest = next(v for v in versions if shown(aws, "--version", v) == {"password": "one"})
    back = aws.secret("rollback", "/shop/db", "--to", oldest)
    restored = shown(aws)
    gone = aws.secret("delete", "/shop/db", "--force")

    dates = [entry["created"] for entry in json.loads(history.stdout)]

    assert [done.returncode for done in (first, second, back, gone)] == [0] * 4
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", date) for date in dates), dates
    assert (listed.stdout, len(versions)) == ("/shop/db\n", 2)
    assert both == {"user": "app", "password": "two"}
    assert restored == {"password": "one"}
    assert aws.secret("list").stdout == ""


def test_keys_that_are_not_named_keep_their_type(aws):
    """A number stays a number for who reads the JSON."""
    aws.put("/shop/db", {"port": 5432, "user": "app"})

    aws.secret("set", "/shop/db", "--data", "user=shop")

    aws.source("tokens/store", "CANARY-CREDENTIAL\n")
    (answer,) = aws.read("/shop/db")
    assert answer.reveal() == b'{"port": 5432, "user": "shop"}'


def test_a_text_without_keys_is_not_overwritten(aws):
    """It may be anything, and would be lost."""
    if aws.service == "ssm":
        aws.setup.put_parameter(Name="/shop/db", Value="c4n4ry", Type="String")
    else:
        aws.setup.create_secret(Name="/shop/db", SecretString="c4n4ry")

    done = aws.secret("set", "/shop/db", "--data", "user=shop")

    assert done.returncode == 8
    assert "its value is one text, not a JSON object with keys" in done.stderr
    assert "c4n4ry" not in done.stderr


def test_what_the_identity_may_not_do_is_named(aws):
    """By the identity, without AWS's words."""
    denied = (400, "AccessDeniedException", "User CANARY is not authorized")
    aws.aws.refusals.update(CreateSecret=denied, PutParameter=denied)

    done = aws.secret("set", "/shop/db", "--data", "user=shop")

    assert done.returncode == 5
    assert "AWS does not let this identity do this; as access key" in done.stderr
    assert REGION in done.stderr
    assert "CANARY" not in done.stderr
