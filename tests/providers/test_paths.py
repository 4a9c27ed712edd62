"""What a server sees is what the plan says, for every path: it is sent exactly, or refused unsent.

The fakes answer in plain HTTP; what they are asked is taken down raw and decoded here, once.
"""

from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from injector.core import errors, reference, stores
from injector.core.plan import Plan, PlanStore, Read
from injector.deadline import Deadline
from injector.fetch import fetch
from tests.providers import fake_azure, fake_gcp
from tests.providers.aws_gate import Aws
from tests.providers.cloud_rigs import jwt
from tests.providers.fake_azure import FakeAzure
from tests.providers.fake_gcp import FakeGcp
from tests.providers.fake_vault import FakeVault

CREDENTIAL = {"secretRef": {"name": "login", "key": "secret"}}
ODD = " +&=@:;,~!$'()*[]{}<>|^`\"\\%#?é/."
WORDS = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["C", "Z"]), min_size=1)
PLAIN = st.from_regex(r"[-A-Za-z0-9_.]{1,12}", fullmatch=True)


def seen(fake):
    """Let a fake take down what it is asked to read; return the list."""
    asked = []

    def note(handler, *_):
        if handler.command == "GET":
            path, _, query = handler.path.partition("?")
            asked.append((unquote(path, errors="strict"), dict(parse_qsl(query))))

    kind = fake.RequestHandlerClass
    fake.RequestHandlerClass = type("Noting", (kind,), {"log_request": note})
    return asked


class Server:
    """A store and its server: `asked` is what it saw, `expected` what a read is to show it."""

    secret = "secret"

    def close(self):
        self.fake.close()


class Vault(Server):
    paths = st.lists(WORDS | st.just("data"), min_size=2, max_size=4).map("/".join)
    paths = paths.filter(lambda path: not path.startswith("/"))
    versions = st.from_regex(r"[1-9][0-9]{0,9}", fullmatch=True)

    def __init__(self):
        self.fake = FakeVault()
        self.fake.tokens["secret"] = [""]
        self.asked = seen(self.fake)
        at = f"http://127.0.0.1:{self.fake.server_port}"
        self.document = {"vault": {"address": at, "auth": {"token": {"token": CREDENTIAL}}}}

    def expected(self, path, version):
        mount, _, name = path.partition("/")
        engines = (("kv", "2"), ("kv", "1"), ("database", None))
        engine = engines[0 if version else len(path) % 3]
        self.fake.mounts = {f"{mount}/": engine}
        query = {"version": version} if version else {}
        within = f"data/{name}" if engine == ("kv", "2") else name
        about = (f"/v1/sys/internal/ui/mounts/{path}", {})
        return [about, (f"/v1/{mount}/{within}", query)]


class Azure(Server):
    secret = fake_azure.CLIENT_SECRET
    paths = st.from_regex(
        r"(certificates/[0-9A-Za-z-]{1,127}(/key|/chain)?|[0-9A-Za-z-]{1,127})", fullmatch=True
    )
    versions = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)

    def __init__(self):
        self.fake = FakeAzure()
        self.asked = seen(self.fake)
        at = f"http://127.0.0.1:{self.fake.server_port}"
        login = {"clientSecret": {"clientId": fake_azure.CLIENT, "secret": CREDENTIAL}}
        tenant = {"authorityHost": at, "tenantId": fake_azure.TENANT}
        self.document = {"azureKeyVault": {"address": at, **tenant, "auth": login}}

    def expected(self, path, version):
        name = path.split("/")[1] if path.startswith("certificates/") else path
        place = f"/secrets/{name}" + (f"/{version}" if version else "")
        return [(place, {"api-version": "7.4"})]


class Gcp(Server):
    paths = st.from_regex(
        r"(projects/[a-z][-a-z0-9]{4,28}[a-z0-9]/secrets/)?[0-9A-Za-z_-]{1,255}", fullmatch=True
    )
    versions = st.from_regex(r"[1-9][0-9]{0,9}|[A-Za-z][0-9A-Za-z_-]{0,62}", fullmatch=True)

    def __init__(self):
        self.fake = FakeGcp()
        self.secret = jwt(sub="system:serviceaccount:shop:checkout", **self.fake.trusted)
        self.asked = seen(self.fake)
        at = f"http://127.0.0.1:{self.fake.server_port}"
        self.document = {
            "gcpSecretManager": {
                "project": fake_gcp.PROJECT,
                "endpoints": {"secretManager": at, "sts": at, "iamCredentials": at},
                "auth": {"workloadIdentity": {"provider": fake_gcp.PROVIDER}},
            }
        }

    def expected(self, path, version):
        full = path if "/" in path else f"projects/{fake_gcp.PROJECT}/secrets/{path}"
        return [(f"/v1/{full}/versions/{version or 'latest'}:access", {})]


class AwsServer(Server):
    def __init__(self):
        self.fake = Aws()
        self.fake.keys["secret"] = "secret"
        missing = (400, "ResourceNotFoundException", "")  # moto need not look for it
        self.fake.refusals = dict.fromkeys(self.actions, missing)
        self.asked = self.fake.asked
        auth = {"keys": {"accessKeyId": CREDENTIAL, "secretAccessKey": CREDENTIAL}}
        region = {"region": "eu-central-1", "endpoint": self.fake.url}
        self.document = {self.name: {**region, "auth": auth}}


class SecretsManager(AwsServer):
    name, actions = "awsSecretsManager", ("GetSecretValue",)
    paths = st.from_regex(r"[-A-Za-z0-9/_+=.@]{1,512}", fullmatch=True) | PLAIN.map(
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:{}".format
    )
    versions = st.from_regex(r"[-A-Za-z0-9_+=.@]{1,256}", fullmatch=True) | st.uuids().map(str)

    def expected(self, path, version):
        is_id = version and len(version) == 36 and version.count("-") == 4
        pinned = {"VersionId" if is_id else "VersionStage": version} if version else {}
        return [("GetSecretValue", {"SecretId": path, **pinned})]


class ParameterStore(AwsServer):
    name, actions = "awsParameterStore", ("GetParameters", "GetParametersByPath")
    parts = st.lists(PLAIN, min_size=1, max_size=14).map("/".join)
    paths = st.one_of(
        st.builds("{}{}".format, st.sampled_from(("", "/")), parts),
        parts.map("arn:aws:ssm:eu-central-1:123456789012:parameter/{}".format),
        parts.map("/{}/*".format),
    )
    versions = st.from_regex(r"[1-9][0-9]{0,9}|[-A-Za-z_.][-A-Za-z0-9_.]{0,99}", fullmatch=True)

    def expected(self, path, version):
        if path.endswith("/*"):
            tree = {"Path": path[:-2], "Recursive": False, "WithDecryption": True}
            return [("GetParametersByPath", tree)]
        name = path if version is None else f"{path}:{version}"
        return [("GetParameters", {"Names": [name], "WithDecryption": True})]


@pytest.fixture(scope="module", params=[Vault, Azure, Gcp, SecretsManager, ParameterStore])
def server(request, tmp_path_factory):
    """Each store behind a network in turn."""
    made = request.param()
    made.sources = tmp_path_factory.mktemp("sources")
    for source in ("secrets/login/secret", "tokens/store"):
        place = made.sources / source
        place.parent.mkdir(parents=True)
        place.write_text(made.secret)
    yield made
    made.close()


def check(server, path, version):
    """Ask for a path through the real `fetch`, and compare."""
    document = {"timeout": "5s", "retry": {"attempts": 1}, **server.document}
    read = Read(store=0, path=path, version=version)
    plan = Plan(
        namespace="shop",
        service_account="checkout",
        stores=(PlanStore(name="store", document=stores.canonical(document)),),
        reads=(read,),
    )
    is_refused = stores.parse("store", document).spec.path_problem(path, None, version) is not None
    expected = [] if is_refused else server.expected(path, version)
    server.asked.clear()

    answer = fetch(plan, server.sources, Deadline.after(20)).answers[read]

    assert server.asked == expected
    assert not is_refused or answer.code is errors.REFERENCE
    return not is_refused


@given(data=st.data())
def test_a_path_that_is_accepted_is_what_the_server_sees(server, data):
    """Nothing is cleaned up, encoded twice, cut off or taken for something else."""
    paths = server.paths.filter(lambda path: reference.path_problem(path) is None)
    path = data.draw(paths, label="path")
    version = data.draw(st.none() | server.versions, label="version")
    if path.endswith("/*"):
        version = None

    assert check(server, path, version)


@given(data=st.data())
def test_any_text_is_seen_exactly_or_refused_and_not_sent(server, data):
    """Also what somebody wrote by hand into a plan."""
    pieces = ("%2e", "%2F", "..", "/", "//", "\\", "?", "#", "\n", "\r\n", "\0", "%", " ", "\u2028")
    inserted = st.builds(
        lambda path, piece, at: path[: at % len(path)] + piece + path[at % len(path) :],
        server.paths,
        st.sampled_from((*pieces, "\ud800", ";", "*", "@3", "data/", "é", "/..", ":")),
        st.integers(0, 600),
    )
    path = data.draw(inserted | st.text(max_size=40), label="path")
    version = data.draw(st.none() | server.versions | st.text(max_size=9), label="version")

    check(server, path, version)
