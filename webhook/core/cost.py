"""What pods cost their stores: logins and read calls, counted from a plan and before anyone pays.

    provider             a login               read calls
    vault                one, none with a      one for each path, and one for each mount
                         token as it is        to learn its kind
    awsSecretsManager    one at STS, or none;  current versions 20 a call, pinned ones alone
    awsParameterStore    one more for roleArn  10 a call, each parameter once; each tree alone
    azureKeyVault        one                   one for each path
    gcpSecretManager     one, none with a key  one for each path
                         two to impersonate
    others               none                  none: the kubelet brings them, or they are local

Retries, further pages and refused batches, which are read one by one, come on top.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from injector.core import stores
from injector.core.plan import Plan, Read
from injector.core.stores import Store, aws, azure, gcp, vault

SECRETS_A_CALL = 20
PARAMETERS_A_CALL = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What is asked of one store: values to read, logins, and calls that read."""

    store: str
    provider: str
    reads: int
    logins: int
    calls: int

    def times(self, pods: int) -> Cost:
        """Return the cost of so many pods: each logs in and reads for itself."""
        return Cost(
            store=self.store,
            provider=self.provider,
            reads=self.reads * pods,
            logins=self.logins * pods,
            calls=self.calls * pods,
        )

    def plus(self, other: Cost) -> Cost:
        """Return what both cost together; they are of one store."""
        return Cost(
            store=self.store,
            provider=self.provider,
            reads=self.reads + other.reads,
            logins=self.logins + other.logins,
            calls=self.calls + other.calls,
        )


def of_pod(plan: Plan) -> tuple[Cost, ...]:
    """Return the cost of one pod's fetch for each store of its plan, in the plan's order."""
    found = []
    for index, entry in enumerate(plan.stores):
        reads = [read for read in plan.reads if read.store == index]
        store = stores.from_text(entry.name, entry.document)
        cost = Cost(
            store=store.name,
            provider=store.provider,
            reads=len(reads),
            logins=_logins(store),
            calls=_calls(store.provider, reads),
        )
        found.append(cost)
    return tuple(found)


def together(costs: Iterable[Cost]) -> tuple[Cost, ...]:
    """Return the sums for each store, in the order of their names."""
    sums: dict[str, Cost] = {}
    for cost in costs:
        other = sums.get(cost.store)
        sums[cost.store] = cost if other is None else cost.plus(other)
    return tuple(cost for _, cost in sorted(sums.items()))


def _logins(store: Store) -> int:
    match store.spec:
        case vault.Vault(login=login):
            return int(not isinstance(login, vault.StaticToken) or login.is_wrapped)
        case aws.Aws(login=login, role_arn=role):
            return isinstance(login, aws.WebIdentity) + (role is not None)
        case azure.AzureKeyVault():
            return 1
        case gcp.GcpSecretManager(login=gcp.FederatedLogin(impersonate=account)):
            return 1 if account is None else 2
        case _:
            return 0


def _calls(provider: str, reads: Sequence[Read]) -> int:
    match provider:
        case "vault":
            return len(reads) + len({read.path.partition("/")[0] for read in reads})
        case "awsSecretsManager":
            return _secrets_calls(reads)
        case "awsParameterStore":
            return _parameters_calls(reads)
        case "azureKeyVault" | "gcpSecretManager":
            return len(reads)
        case _:
            return 0


def _secrets_calls(reads: Sequence[Read]) -> int:
    current = sum(read.version is None for read in reads)
    return len(reads) - current + -(-current // SECRETS_A_CALL)


def _parameters_calls(reads: Sequence[Read]) -> int:
    trees = sum(read.path.endswith(aws.TREE) for read in reads)
    # Two versions of one parameter never share a call, so the most frequent one sets a least.
    versions = Counter(read.path for read in reads if not read.path.endswith(aws.TREE))
    least = max(versions.values(), default=0)
    return trees + max(least, -(-sum(versions.values()) // PARAMETERS_A_CALL))
