"""One rig per store: the most real thing that runs here, set up for the contract suite.

Adding a store: a class with these members, one entry in conftest.py's `RIGS`; a store behind a
network passes the fault suite too, by having a `proxy` that its definition points to.
"""

import json
import time
from pathlib import Path

from injector.core import stores
from injector.core.plan import (
    ContainerPlan,
    EnvFrom,
    EnvItem,
    Pick,
    Plan,
    PlanStore,
    PlanValue,
    Read,
)
from injector.core.reference import Filter
from injector.core.render import render
from injector.core.secret import MAX_BYTES, Secret
from injector.deadline import Deadline
from injector.fetch import fetch
from injector.visit import Chance
from tests.providers.certificates import Authority
from tests.providers.fake_vault import FakeVault
from tests.providers.fault_proxy import FaultProxy

CREDENTIAL = "CANARY-CREDENTIAL"


def revealed(answer):
    """Return what a secret holds as plain data; some stores keep it as one text, which is JSON."""
    assert isinstance(answer, Secret), answer
    data = answer.reveal()
    return json.loads(data) if isinstance(data, bytes) else data


class Rig:
    """What the suite needs of a store. `name` is the member of the union of definitions."""

    has_versions = False
    has_binary = False
    """Whether a field may hold bytes that are no text."""
    names = ("plain", "with.dots-and_dashes", "deep/er/path")
    """Names that the store can hold, odd ones too."""
    largest = MAX_BYTES
    """The largest value that the store itself takes, if it takes less than we do."""
    proxy = None
    judge = "injector.connection.address"
    """Where `is_forbidden_peer` is looked up before a connection is used."""
    has_server_name = False
    """Whether the definition may name the server that the certificate is for."""
    is_in_cluster = True
    """Whether projected sources are mounted; there are none on a laptop."""

    def __init__(self, folder: Path):
        self.sources = folder / "sources"
        self.sources.mkdir(parents=True)
        self.waits = []

    def path(self, name):
        """Return the path of a secret by a plain name."""
        return name

    def put(self, name, data):
        """Store a mapping of texts (or bytes, if `has_binary`) as a new version of the secret."""
        raise NotImplementedError

    def version(self, name, number):
        """Return what the store calls the n-th version of a secret, also where there is none."""
        del name
        return str(number)

    def previous(self, name):
        """Return what one pins to have the version before the newest of two."""
        return self.version(name, 1)

    def document(self):
        """Return the store's definition."""
        raise NotImplementedError

    def source(self, path, text):
        """Write one projected source, as the kubelet would."""
        place = self.sources / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())

    def read(self, *wanted, deadline_s=20.0, document=None, clock=time.monotonic):
        """Fetch names or (name, version) pairs through the real `fetch`; return the answers."""
        pairs = [(w, None) if isinstance(w, str) else w for w in wanted]
        reads = tuple(Read(store=0, path=self.path(name), version=v) for name, v in pairs)
        document = {"retry": {"attempts": 3}, **(document or self.document())}
        plan = Plan(
            namespace="shop",
            service_account="checkout",
            stores=(PlanStore(name="store", document=stores.canonical(document)),),
            reads=reads,
        )
        self.fetched = fetch(
            plan,
            self.sources if self.is_in_cluster else None,
            Deadline.after(deadline_s),
            chance=Chance(sleep=self.waits.append, random=lambda: 0.5, clock=clock),
        )
        return [self.fetched.answers[read] for read in reads]

    def revoke_logins(self):
        """Let the store forget every login; to most that is what an expired one is."""
        self.expire_logins()

    def value(self, name, field, *, default=None):
        """Return the bytes that a reference gives, rendered for a container; raises FetchFailed."""
        filters = () if default is None else (Filter(name="default", args=(default,)),)
        (answer,) = self.read(name)
        read = Read(store=0, path=self.path(name))
        part = Pick(read=0, field=field, filters=filters)
        plan = Plan(
            namespace="shop",
            service_account="checkout",
            stores=(PlanStore(name="store", document="{}"),),
            reads=(read,),
            values=(PlanValue(parts=(part,), key="KEY", origin="annotation env"),),
            containers=(ContainerPlan(name="app", env=(EnvItem(name="KEY", value=0),)),),
        )
        (container,) = render(plan, {read: answer}, today="2026-01-01")
        return dict(container.env)["KEY"]

    def variables(self, name, **entry):
        """Return the variables that a container gets of the keys of a secret."""
        (answer,) = self.read(name)
        read = Read(store=0, path=self.path(name))
        plan = Plan(
            namespace="shop",
            service_account="checkout",
            stores=(PlanStore(name="store", document="{}"),),
            reads=(read,),
            values=(PlanValue(parts=(Pick(read=0),), key="*", origin="annotation env"),),
            containers=(
                ContainerPlan(name="app", env_from=(EnvFrom(value=0, keys=("*",), **entry),)),
            ),
        )
        (container,) = render(plan, {read: answer}, today="2026-01-01")
        return dict(container.env)

    def close(self):
        """Stop what runs."""


class VaultRig(Rig):
    """A fake Vault behind TLS and the fault proxy, entered by kubernetes auth."""

    name = "vault"
    has_versions = has_server_name = True
    names = (*Rig.names, "with blank", "ünï/cödé", "a+b&c=d", "back'tick`", "plus+@:,~!$()*")

    def __init__(self, folder):
        super().__init__(folder)
        self.authority = Authority(folder)
        self.vault = FakeVault()
        self.proxy = FaultProxy(self.authority.context(), self.vault.server_address)
        self.source("tokens/store", f"{CREDENTIAL}\n")
        self.vault.logins["kubernetes", "shop", CREDENTIAL] = ["kv/", "old/", "database/"]

    def path(self, name):
        return name if name.startswith(("kv/", "old/", "database/", "no/")) else f"kv/{name}"

    def put(self, name, data):
        self.vault.put(name, data)

    def document(self, **vault):
        return {
            "timeout": "2s",
            "vault": {
                "address": f"https://127.0.0.1:{self.proxy.port}",
                "caBundle": self.authority.pem,
                "auth": {"kubernetes": {"role": "shop"}},
                **vault,
            },
        }

    def is_login(self, request):
        """Say whether a recorded request was a login."""
        return request.method == "POST"

    def expire_logins(self):
        """Revoke every token given so far."""
        self.vault.tokens.clear()

    def forbid(self):
        """Let logins from now on read nothing of the suite's secrets."""
        self.vault.logins["kubernetes", "shop", CREDENTIAL] = ["kv/other/"]

    def refuse_logins(self):
        """Let nobody in from now on."""
        self.vault.logins.clear()

    def close(self):
        self.proxy.close()
        self.vault.close()
