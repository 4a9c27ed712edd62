"""Reading from the AWS stores: which calls are made, and what becomes of every kind of answer."""

import json

import pytest

from injector.core import errors
from injector.core.pick import NotPicked, pick
from injector.core.secret import MAX_BYTES, Failure, Secret
from tests.providers.aws_rigs import ParameterStoreRig, SecretsManagerRig
from tests.providers.fault_proxy import Status

JSON = (("Content-Type", "application/x-amz-json-1.1"),)
DENIED = (400, "AccessDeniedException", "User: CANARY is not authorized to perform it")


def said(document):
    """An answer of AWS, for the fault proxy."""
    return Status(200, JSON, json.dumps(document).encode())


def code(answer):
    """The code of a failure that quotes nothing of AWS's."""
    assert isinstance(answer, Failure), answer
    assert "CANARY" not in repr(answer)
    return answer.code


@pytest.fixture
def secrets(tmp_path):
    """Secrets Manager; faults hit its reads only."""
    rig = SecretsManagerRig(tmp_path)
    rig.proxy.when = lambda request: not rig.is_login(request)
    yield rig
    rig.close()


@pytest.fixture
def parameters(tmp_path):
    """Parameter Store; faults hit its reads only."""
    rig = ParameterStoreRig(tmp_path / "parameters")
    rig.proxy.when = lambda request: not rig.is_login(request)
    yield rig
    rig.close()


def test_secrets_are_read_twenty_a_call(secrets):
    """41 secrets are three calls after one login; one secret is a call without a batch."""
    names = [f"s{i}" for i in range(41)]
    for name in names:
        secrets.put(name, {"n": name})

    secrets.read(*names)
    batched, secrets.aws.actions = secrets.aws.actions, []
    secrets.read("s0")

    assert sorted(batched) == ["AssumeRoleWithWebIdentity", *["BatchGetSecretValue"] * 3]
    assert secrets.aws.actions == ["AssumeRoleWithWebIdentity", "GetSecretValue"]


def test_without_permission_for_batches_secrets_are_read_one_by_one(secrets):
    """The batch is a saving, not a need."""
    secrets.aws.refusals["BatchGetSecretValue"] = DENIED
    for name in ("a", "b"):
        secrets.put(name, {"n": name})

    answers = secrets.read("a", "b", "missing")

    assert [json.loads(answer.reveal()) for answer in answers[:2]] == [{"n": "a"}, {"n": "b"}]
    assert code(answers[2]) is errors.MISSING
    assert secrets.aws.actions.count("BatchGetSecretValue") == 1
    assert secrets.aws.actions.count("GetSecretValue") == 3


def test_errors_within_a_batch_go_to_the_reads_they_are_about(secrets):
    """Each entry of `Errors` costs one read; pages are put together."""
    found = {"Name": "d", "ARN": "arn:d-AbCdEf", "VersionId": "v" * 32, "SecretString": "fine"}
    refused = [
        ("a", "AccessDeniedException", "User: CANARY"),
        ("b", "DecryptionFailure", "CANARY"),
        ("c", "InvalidRequestException", "marked for deletion CANARY"),
    ]
    entries = [{"SecretId": s, "ErrorCode": c, "Message": m} for s, c, m in refused]
    secrets.proxy.faults = [
        said({"SecretValues": [], "Errors": entries, "NextToken": "page 2"}),
        said({"SecretValues": [found], "Errors": []}),
    ]

    a, b, c, d = secrets.read("a", "b", "c", "d")

    assert [code(a), code(b), code(c)] == [errors.FORBIDDEN, errors.FORBIDDEN, errors.MISSING]
    assert "kms:Decrypt" in b.hint
    assert (d.reveal(), d.version) == (b"fine", "v" * 32)
    asked = [json.loads(request.body) for request in secrets.proxy.seen[1:]]
    assert asked == [
        {"SecretIdList": ["a", "b", "c", "d"]},
        {"SecretIdList": ["a", "b", "c", "d"], "NextToken": "page 2"},
    ]


def test_a_batch_that_is_too_large_is_read_one_by_one(secrets):
    """Twenty secrets as an emulator takes them may pass the limit; each alone does not."""
    names = [f"s{i}" for i in range(20)]
    text = "\x01" * 75_000  # each takes six bytes in JSON
    for name in names:
        secrets.setup.create_secret(Name=name, SecretString=text)

    answers = secrets.read(*names)

    assert {answer.reveal() for answer in answers} == {text.encode()}
    assert secrets.aws.actions.count("GetSecretValue") == 20


def test_a_binary_secret_arrives_byte_for_byte(secrets):
    """SecretBinary is bytes, alone and in a batch."""
    secrets.setup.create_secret(Name="der", SecretBinary=bytes(range(256)))
    secrets.put("other", {})

    (alone,) = secrets.read("der")
    batched, _ = secrets.read("der", "other")

    assert alone.reveal() == batched.reveal() == bytes(range(256))


def test_a_secret_is_read_by_arn_and_by_stage(secrets):
    """The ARN with or without its last six characters; AWSPREVIOUS is the value before."""
    arn = secrets.setup.create_secret(Name="db", SecretString="old")["ARN"]
    secrets.setup.put_secret_value(SecretId="db", SecretString="new")
    secrets.put("other", {})

    full, partial, named, previous, _ = secrets.read(
        arn, arn[:-7], "db", ("db", "AWSPREVIOUS"), "other"
    )

    assert [full.reveal(), partial.reveal(), named.reveal()] == [b"new"] * 3
    assert previous.reveal() == b"old"


def test_a_deleted_secret_says_how_to_bring_it_back(secrets):
    """Marked for deletion is missing, with a hint of its own."""
    secrets.put("gone", {})
    secrets.setup.delete_secret(SecretId="gone", RecoveryWindowInDays=7)

    (answer,) = secrets.read("gone")

    assert code(answer) is errors.MISSING
    assert "restore-secret" in answer.hint


def test_a_value_of_one_mib_is_the_largest(secrets):
    """AWS stops at 64 KiB; an emulator may not, and our limit is the same for all stores."""
    secrets.proxy.faults = [
        said({"SecretString": "x" * MAX_BYTES, "VersionId": "1"}),
        said({"SecretString": "x" * (MAX_BYTES + 1), "VersionId": "1"}),
    ]

    (largest,), (beyond,) = secrets.read("a"), secrets.read("a")

    assert pick(largest, None).data == b"x" * MAX_BYTES
    with pytest.raises(NotPicked, match="the value is larger than 1 MiB"):
        pick(beyond, None)


def test_parameters_are_read_ten_a_call_decrypted(parameters):
    """41 parameters are five calls after one login."""
    names = [f"/app/p{i}" for i in range(41)]
    for name in names:
        parameters.put(name, {"n": name})

    answers = parameters.read(*names)

    assert [json.loads(answer.reveal()) for answer in answers] == [{"n": n} for n in names]
    calls = [asked for action, asked in parameters.aws.asked if action == "GetParameters"]
    assert sorted(len(call["Names"]) for call in calls) == [1, 10, 10, 10, 10]
    assert all(call["WithDecryption"] is True for call in calls)


def test_one_forbidden_parameter_costs_no_other(parameters):
    """AWS refuses the whole call; asked one by one, only the guilty one fails."""
    for name in ("/a", "/b", "/c"):
        parameters.put(name, {})
    parameters.aws.refusals["GetParameters"] = lambda asked: (
        DENIED if "/b" in asked["Names"] else None
    )

    a, b, c = parameters.read("/a", "/b", "/c")

    assert (type(a), code(b), type(c)) == (Secret, errors.FORBIDDEN, Secret)
    assert parameters.aws.actions.count("GetParameters") == 4


def test_versions_and_labels_of_one_parameter_are_told_apart(parameters):
    """The same name is asked for once a call; a version that is not there is missing."""
    for value in ("one", "two"):
        parameters.setup.put_parameter(Name="/p", Value=value, Type="String", Overwrite=True)
    parameters.setup.label_parameter_version(Name="/p", ParameterVersion=1, Labels=["stable"])

    newest, first, stable, unknown = parameters.read(
        "/p", ("/p", "1"), ("/p", "stable"), ("/p", "9")
    )

    assert [newest.reveal(), first.reveal(), stable.reveal()] == [b"two", b"one", b"one"]
    assert (newest.version, first.version) == ("2", "1")
    assert code(unknown) is errors.MISSING


def test_a_list_of_strings_comes_as_it_is_kept(parameters):
    """A StringList is its text with commas."""
    parameters.setup.put_parameter(Name="/list", Value="a,b", Type="StringList")

    (answer,) = parameters.read("/list")

    assert answer.reveal() == b"a,b"


def test_a_tree_is_a_map_of_its_next_level(parameters):
    """All pages of one level, by last names; what lies deeper or beside is left out."""
    names = [f"p{i}" for i in range(25)]
    for name in (*names, "deep/er"):
        parameters.setup.put_parameter(Name=f"/app/{name}", Value=name, Type="SecureString")
    parameters.setup.put_parameter(Name="/application/x", Value="x", Type="String")

    tree, empty = parameters.read("/app/*", "/nothing/*")

    assert tree.reveal() == {name: name for name in names}
    assert pick(tree, "p7").data == b"p7"
    assert code(empty) is errors.MISSING
    assert parameters.aws.actions.count("GetParametersByPath") == 4


def test_a_batch_that_fails_as_a_whole_decides_for_none_of_its_members(secrets):
    """One secret without a value makes AWS refuse the call; the others have their values."""
    secrets.put("good", {"n": "good"})
    secrets.setup.create_secret(Name="empty")
    for name, message in (
        ("ResourceNotFoundException", "Secrets Manager can't find the CANARY"),
        ("InvalidRequestException", "marked for deletion CANARY"),
        ("InvalidParameterException", "CANARY"),
        ("UnknownOperationException", "CANARY"),
        ("SomethingNewException", "CANARY"),
        ("InternalServiceError", ""),
    ):
        secrets.aws.refusals["BatchGetSecretValue"] = (400, name, message)
        good, empty = secrets.read("good", "empty")
        if name == "InternalServiceError":
            assert {code(good), code(empty)} == {errors.DOWN}
            continue
        assert json.loads(good.reveal()) == {"n": "good"}, name
        assert code(empty) is errors.MISSING, name


def test_a_server_without_batches_is_asked_one_by_one(secrets):
    """Some stand-ins for AWS know GetSecretValue alone, and say so with HTTP 501."""
    for name in ("a", "b"):
        secrets.put(name, {"n": name})
    secrets.proxy.when = lambda request: b"SecretIdList" in request.body
    secrets.proxy.faults = [Status(501, JSON, b'{"__type": "InternalFailure"}')]

    answers = secrets.read("a", "b")

    assert [json.loads(answer.reveal()) for answer in answers] == [{"n": "a"}, {"n": "b"}]


def test_parameters_that_fail_as_a_whole_are_asked_for_one_by_one(parameters):
    """What a call says as a whole is no answer about one of its parameters."""
    for name in ("/a", "/b"):
        parameters.put(name, {"n": name})
    for refusal in ("ParameterNotFound", "ParameterVersionNotFound", "SomethingNewException"):
        parameters.aws.refusals["GetParameters"] = lambda asked, name=refusal: (
            (400, name, "CANARY") if len(asked["Names"]) > 1 else None
        )
        answers = parameters.read("/a", "/b")
        assert [json.loads(each.reveal()) for each in answers] == [{"n": "/a"}, {"n": "/b"}]


def test_a_denied_read_names_action_secret_and_role(secrets, parameters):
    """What a policy must allow, on what and to whom; an explicit denial says which policy it is."""
    secrets.aws.refusals["GetSecretValue"] = DENIED
    (plain,) = secrets.read("shop/db")
    secrets.aws.refusals["GetSecretValue"] = (
        400,
        "AccessDeniedException",
        "CANARY is not authorized with an explicit deny in an identity-based policy",
    )
    (explicit,) = secrets.read("shop/db")
    parameters.aws.refusals["GetParameters"] = DENIED
    parameters.aws.refusals["GetParametersByPath"] = DENIED
    parameter, tree = parameters.read("/shop/db", "/shop/*")

    assert code(plain) is errors.FORBIDDEN
    assert plain.what.startswith('AWS refuses secretsmanager:GetSecretValue on "shop/db" to …/')
    assert plain.hint == "allow it in a policy of the role (and kms:Decrypt for a key of your own)"
    assert explicit.hint == (
        "an identity-based policy denies it explicitly, whatever other policies allow"
    )
    assert parameter.what.startswith('AWS refuses ssm:GetParameters on "/shop/db" to …/')
    assert tree.what.startswith('AWS refuses ssm:GetParametersByPath on "/shop/*" to …/')


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("AccessDeniedException", "Access to KMS is not allowed"),
        (
            "AccessDeniedException",
            "The ciphertext refers to a key that does not exist. (Service: AWSKMS; Status: 400)",
        ),
        (
            "ValidationException",
            "The ciphertext refers to a customer master key that does not exist",
        ),
        ("AccessDeniedException", "User: CANARY is not authorized to perform: kms:Decrypt on it"),
        ("InvalidKeyId", "The ciphertext refers to a customer master key that does not exist"),
    ],
)
def test_what_the_kms_key_refuses_is_said_of_the_key(secrets, parameters, name, message):
    """Not of the secret's policy, whichever service passes it on."""
    secrets.aws.refusals["GetSecretValue"] = (400, name, message)
    parameters.aws.refusals["GetParameters"] = (400, name, message)

    for answer in (*secrets.read("db"), *parameters.read("/db")):
        assert code(answer) is errors.FORBIDDEN
        assert answer.what == "the KMS key does not decrypt it for this identity"
        assert "kms:Decrypt" in answer.hint
