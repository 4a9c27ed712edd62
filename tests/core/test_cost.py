"""What a pod costs its stores, against what the providers themselves do."""

import asyncio

import pytest

from injector.core import stores
from injector.core.plan import Plan, PlanStore, Read
from injector.providers.aws import parameter_store, secrets_manager
from webhook.core import cost
from webhook.core.cost import Cost

AWS = {
    "region": "eu-west-1",
    "auth": {"webIdentity": {"roleArn": "arn:aws:iam::123456789012:role/a"}},
}
SECOND = "arn:aws:iam::210987654321:role/b"
VAULT = {"address": "https://vault:8200", "auth": {"kubernetes": {"role": "app"}}}
TOKEN = {"secretRef": {"name": "a", "key": "b"}}


def counted(document, *reads):
    """Return the cost of a pod that makes these reads, (path, version), of one store."""
    store = PlanStore(name="s", document=stores.canonical(document))
    asked = tuple(Read(store=0, path=path, version=version) for path, version in reads)
    plan = Plan(namespace="shop", service_account="app", stores=(store,), reads=asked)
    (found,) = cost.of_pod(plan)
    return found


def test_vault_is_asked_for_each_path_and_each_mount():
    """Two paths of one mount and one of another: three reads, and two looks at mounts."""
    found = counted({"vault": VAULT}, ("kv/a", None), ("kv/b", None), ("db/creds/app", None))

    assert found == Cost(store="s", provider="vault", reads=3, logins=1, calls=5)


@pytest.mark.parametrize(
    ("document", "logins"),
    [
        ({"vault": {**VAULT, "auth": {"token": {"token": TOKEN}}}}, 0),
        ({"awsSecretsManager": AWS}, 1),
        ({"awsSecretsManager": {**AWS, "roleArn": SECOND}}, 2),
        ({"awsSecretsManager": {**AWS, "auth": {"podIdentity": {}}}}, 0),
        ({"k8s": {}}, 0),
    ],
)
def test_a_login_is_a_call_to_a_server(document, logins):
    """A credential that is at hand already costs nobody anything; a further role is one more."""
    assert counted(document, ("a", None)).logins == logins


class CountingApi:
    """AWS as far as the number of calls goes: it has every secret and every parameter."""

    def __init__(self):
        self.calls = 0

    async def call(self, name, **asked):
        self.calls += 1
        if name == "batch_get_secret_value":
            named = asked["SecretIdList"]
            return {"SecretValues": [{"Name": n, "ARN": n, "SecretString": "x"} for n in named]}
        if name == "get_secret_value":
            return {"SecretString": "x"}
        if name == "get_parameters_by_path":
            return {"Parameters": [{"Name": f"{asked['Path']}/a", "Value": "x"}]}
        names = (each.partition(":") for each in asked["Names"])
        return {
            "Parameters": [
                {"Name": name, "Selector": colon + version, "Value": "x"}
                for name, colon, version in names
            ]
        }


SETS = [
    [("a", None)],
    [(f"s{i}", None) for i in range(2)],
    [(f"s{i}", None) for i in range(20)],
    [(f"s{i}", None) for i in range(21)],
    [*((f"s{i}", None) for i in range(45)), ("p", "AWSPREVIOUS"), ("s1", "AWSPREVIOUS")],
]


@pytest.mark.parametrize("reads", SETS, ids=len)
def test_secrets_manager_is_called_as_often_as_its_provider_calls(reads):
    """Counted ahead, and counted at the provider's own calls: the same."""
    api = CountingApi()
    asyncio.run(secrets_manager.read(api, [Read(store=0, path=p, version=v) for p, v in reads]))

    assert counted({"awsSecretsManager": AWS}, *reads).calls == api.calls


@pytest.mark.parametrize(
    "reads",
    [
        *SETS[:4],
        [*((f"s{i}", None) for i in range(8)), ("s1", "1"), ("s1", "2"), ("/tree/*", None)],
    ],
    ids=len,
)
def test_parameter_store_is_called_as_often_as_its_provider_calls(reads):
    """Ten a call, versions of one parameter apart, a tree alone."""
    api = CountingApi()
    asyncio.run(parameter_store.read(api, [Read(store=0, path=p, version=v) for p, v in reads]))

    assert counted({"awsParameterStore": AWS}, *reads).calls == api.calls


def test_every_pod_of_a_rollout_pays_for_itself():
    """Fifty pods log in fifty times; two workloads of one store are added up."""
    one = Cost(store="s", provider="vault", reads=3, logins=1, calls=5)

    assert one.times(50) == Cost(store="s", provider="vault", reads=150, logins=50, calls=250)
    assert cost.together([one, one.times(2)]) == (one.times(3),)
