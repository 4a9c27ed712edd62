"""What a pod does that cannot have its values: it waits, says why, and starts once it can."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.e2e.scenarios import pods, refusals
from tests.e2e.scenarios.refusals import Failed
from tests.e2e.scenarios.system import System, Tenant, store
from tests.e2e.testbed.local import LocalCluster
from tests.e2e.testbed.process import until
from tests.e2e.testbed.vault import AUDIENCE, Vault

NAMESPACE = "failures"
FOREIGN_NAME = "vault.example"
RECOVERY_LIMIT_S = 90
HINT = "       hint: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A value that cannot be had: where it should come from, and what our container then says."""

    reference: str
    line: str
    hint: str
    exit_code: int


MISSING_HINT = "check the name, or give the key a default"
TLS_HINT = "check caBundle, the certificate's names and dates, and the clock"
FOR = (
    "for WANTED, file wanted"
    " (annotation secret-injector.io/env, annotation secret-injector.io/files)"
)
AS_TENANT = '; as role "failures" by kubernetes auth'

CASES = {
    "missing-key": Case(
        reference="brisk:secret/failures/present#password",
        line=f"SI-404 brisk secret/failures/present#password {FOR}: no such key;"
        " keys there: passwort, user",
        hint='did you mean "passwort"?',
        exit_code=6,
    ),
    "missing-secret": Case(
        reference="brisk:secret/failures/later#password",
        line=f"SI-404 brisk secret/failures/later#password {FOR}: no such secret" + AS_TENANT,
        hint=MISSING_HINT,
        exit_code=6,
    ),
    "unbound-role": Case(
        reference="unbound:secret/failures/present#user",
        line=f"SI-401 unbound secret/failures/present#user {FOR}: login refused:"
        ' the role "unbound" does not list namespace failures'
        '; as role "unbound" by kubernetes auth',
        hint="add it to bound_service_account_namespaces of the role, or use a role that lists it",
        exit_code=5,
    ),
    "denied-by-vault": Case(
        reference="denied:secret/failures/present#user",
        line=f"SI-403 denied secret/failures/present#user {FOR}: no policy lets us"
        ' into this mount, or there is no such mount; as role "denied" by kubernetes auth',
        hint='is "secret" the mount\'s name? vault secrets list shows them; else a policy of role'
        ' "denied" needs path "secret/failures/present" { capabilities = ["read"] }, or for KV'
        ' version 2 path "secret/data/failures/present" { capabilities = ["read"] }',
        exit_code=5,
    ),
    "unknown-authority": Case(
        reference="unknown-authority:secret/failures/present#user",
        line=f"SI-502 unknown-authority secret/failures/present#user {FOR}: {{host}} is not"
        " trusted: its certificate comes from an authority that caBundle does not hold"
        f" (2 tries){AS_TENANT}",
        hint=TLS_HINT,
        exit_code=7,
    ),
    "wrong-name": Case(
        reference="wrong-name:secret/failures/present#user",
        line=f"SI-502 wrong-name secret/failures/present#user {FOR}: {FOREIGN_NAME}"
        f" is not trusted: its certificate is for {{host}}, localhost (2 tries){AS_TENANT}",
        hint="set tlsServerName to one of them, or fix the address",
        exit_code=7,
    ),
    "missing-kubernetes-secret": Case(
        reference="k8s:later#user",
        line=f"SI-404 k8s later#user {FOR}: no such Secret in namespace failures, or"
        " it lacks the key",
        hint="kubectl -n failures describe secret later lists its keys",
        exit_code=6,
    ),
    "missing-identity": Case(
        reference="local:app#user",
        line=f"SI-401 local app#user {FOR}: the identity (Secret local-identity, key"
        " identity) is not there",
        hint="kubectl -n failures describe secret local-identity lists its keys",
        exit_code=5,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was seen: every pod after its first failure, and the time from repair to start."""

    failed: dict[str, Failed]
    recovered_s: dict[str, float]


def asking_pod(name: str, reference: str):
    """Return a pod that wants one value that is there and one that is not."""
    env = {"GOOD": "#{k8s:good#value}", "WANTED": f"#{{{reference}}}"}
    annotations = pods.asking(
        env=env, files={"wanted": f"#{{{reference}}}"} | {"good": env["GOOD"]}
    )
    return pods.pod(name, pods.app(command=pods.SLEEP), annotations=annotations)


def brisk(name: str, vault: Vault, *, role: str = "{namespace}", **changes: str):
    """Return a store on Vault that gives up soon."""
    spec = {
        "address": vault.address,
        "caBundle": vault.ca_pem,
        "auth": {"kubernetes": {"role": role}},
    }
    retry = {"attempts": 2, "base": "100ms"}
    return store(
        name, {"vault": spec | changes, "audience": AUDIENCE, "timeout": "1s", "retry": retry}
    )


@pytest.fixture(scope="module")
def tenant(system: System, lasting_tenant: Tenant) -> Tenant:
    """Return the tenant of this file, with one good Secret and a store that gives up soon."""
    lasting_tenant.put_secret("good", {"value": "there from the start"})
    system.define(brisk("brisk", system.vault))
    return lasting_tenant


@pytest.fixture(scope="module")
def story(
    system: System, tenant: Tenant, local_cluster: LocalCluster, say: Callable[[str], None]
) -> Story:
    """Play all cases at the same time: break, look, repair, wait."""
    vault = system.vault
    system.define(
        brisk("unbound", vault, role="unbound"),
        brisk("denied", vault, role="denied"),
        brisk("unknown-authority", vault, address=vault.other_ca_address),
        brisk("wrong-name", vault, tlsServerName=FOREIGN_NAME),
    )
    vault.kubernetes_role("unbound", f"tenant-{NAMESPACE}", namespaces=["elsewhere"])
    vault.kubernetes_role("denied", "nothing", namespaces=[NAMESPACE])
    tenant.put_vault("present", user="app", passwort="misspelt")
    tenant.put_local({"app": {"user": "app"}})
    local_cluster.delete("Secret", "local-identity", NAMESPACE)
    for name, case in CASES.items():
        tenant.apply(asking_pod(name, case.reference))
    for name in CASES:
        refusals.wait_failed(local_cluster, name, NAMESPACE)
    failed = {name: refusals.look(local_cluster, name, NAMESPACE) for name in CASES}

    tenant.put_vault("present", user="app", password="now there")
    tenant.put_vault("later", password="now there")
    vault.kubernetes_role("unbound", f"tenant-{NAMESPACE}", namespaces=[NAMESPACE])
    vault.policy("nothing", f"secret/data/{NAMESPACE}/*")
    vault.certify(names=[FOREIGN_NAME], other_by_known_ca=True)
    tenant.put_secret("later", {"user": "app"})
    tenant.put_local({"app": {"user": "app"}})
    repaired_s = time.monotonic()
    recovered_s: dict[str, float] = {}

    def are_all_running() -> bool:
        for name in set(CASES) - set(recovered_s):
            if refusals.is_running(local_cluster.get("Pod", name, NAMESPACE)):
                recovered_s[name] = time.monotonic() - repaired_s
        return len(recovered_s) == len(CASES)

    try:
        until(
            are_all_running,
            what="every pod runs",
            timeout_s=RECOVERY_LIMIT_S,
            explain=lambda: "\n".join(
                local_cluster.explain("Pod", name, NAMESPACE)
                for name in set(CASES) - set(recovered_s)
            ),
        )
    finally:
        vault.certify()
    times = ", ".join(f"{name} {took_s:.0f} s" for name, took_s in recovered_s.items())
    say(f"from repair to start: {times}")
    return Story(failed=failed, recovered_s=recovered_s)


@pytest.mark.parametrize("name", CASES)
def test_the_failure_is_told_in_one_line_and_a_hint(story: Story, name: str, system: System):
    """Code, place, targets, origins, cause, identity; the exit status is that of the code."""
    case, failed = CASES[name], story.failed[name]
    host = system.vault.address.removeprefix("https://").partition(":")[0]

    assert failed.message == f"{case.line.format(host=host)}\n{HINT}{case.hint}\n"
    assert failed.exit_code == case.exit_code


@pytest.mark.parametrize("name", CASES)
def test_describe_shows_the_message(story: Story, name: str):
    """`kubectl describe pod` prints the message as it was written."""
    failed = story.failed[name]

    assert failed.message.rstrip("\n") in failed.described


@pytest.mark.parametrize("name", CASES)
def test_the_application_waits(story: Story, name: str):
    """Its container is not made, and no part of its set stands in the volumes."""
    failed = story.failed[name]

    assert refusals.never_started(failed), failed
    assert failed.left == ()


@pytest.mark.parametrize("name", CASES)
def test_the_pod_starts_by_itself_with_the_whole_set(
    story: Story, name: str, local_cluster: LocalCluster
):
    """Once the cause is gone nobody has to touch the pod: variables and files are all there."""
    wanted = b"now there" if CASES[name].reference.endswith("#password") else b"app"

    environ = local_cluster.container_environ(name, "app", NAMESPACE)
    files = {
        file: local_cluster.container_file(name, "app", NAMESPACE, f"{pods.FILES}/{file}")
        for file in ("good", "wanted")
    }

    assert story.recovered_s[name] < RECOVERY_LIMIT_S
    assert (environ[b"GOOD"], environ[b"WANTED"]) == (b"there from the start", wanted)
    assert files == {"good": b"there from the start", "wanted": wanted}


OUTAGES = {
    "stopped": (Vault.stop, Vault.start, "{at} refuses the connection"),
    "hung": (Vault.hang, Vault.resume, "no answer from {at} within 1 s"),
    "sealed": (Vault.seal, Vault.unseal, "it is sealed"),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_pod_waits_out_a_store_that_is(
    outage: str,
    tenant: Tenant,
    local_cluster: LocalCluster,
    say: Callable[[str], None],
):
    """A store out of service is told as such; the pod starts soon after it is back."""
    begin, end, what = OUTAGES[outage]
    vault = tenant.vault
    tenant.put_vault("outage", user="app")
    begin(vault)
    try:
        tenant.apply(asking_pod(outage, "brisk:secret/failures/outage#user"))
        refusals.wait_failed(local_cluster, outage, NAMESPACE)
        failed = refusals.look(local_cluster, outage, NAMESPACE)
    finally:
        end(vault)
    repaired_s = time.monotonic()
    local_cluster.wait(
        *("Pod", outage, NAMESPACE), until_true=refusals.is_running, timeout_s=RECOVERY_LIMIT_S
    )
    took_s = time.monotonic() - repaired_s
    say(f"from the store's return to start ({outage}): {took_s:.0f} s")

    at = vault.address.removeprefix("https://")
    assert failed.message == (
        f"SI-503 brisk secret/failures/outage#user {FOR}: {what.format(at=at)} (2 tries)"
        f"{AS_TENANT}\n"
        f"{HINT}the pod retries by itself; check address, network policies and the store's health\n"
    )
    assert failed.message.rstrip("\n") in failed.described
    assert failed.exit_code == 7
    assert refusals.never_started(failed), failed
    assert failed.left == ()
    environ = local_cluster.container_environ(outage, "app", NAMESPACE)
    assert (environ[b"GOOD"], environ[b"WANTED"]) == (b"there from the start", b"app")
