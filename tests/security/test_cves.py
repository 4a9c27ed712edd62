"""One test for each advisory against software of this family, as far as deciding is concerned.

In nearly all of them a component with more rights than its caller acts on an address, a path, a
name or a template that the caller chose. What is shown here is that there is nothing to choose.
"""

import dataclasses
import json

import pytest

from injector.core import filters, grammar, plan_codec, reference, stores
from injector.core.errors import Refused
from injector.core.filters import Text
from injector.core.reference import Filter
from tests import asking
from tests.asking import service
from webhook.core import annotations, decide, resources
from webhook.core.annotation_table import ANNOTATIONS
from webhook.core.catalog import Catalog
from webhook.core.our_container import PLAN_VARIABLE

VAULT = asking.vault()


def _injected(annotations_, *objects, **container):
    pod = asking.pod(annotations_, **container)
    decided = asking.outcome(pod, VAULT, *objects)
    assert decided.kind == "inject", decided.problems
    return asking.patched(pod, decided)


def _ours(pod):
    [found] = [c for c in pod["spec"]["initContainers"] if c["name"] == "secret-injector"]
    return found


def _plan(pod):
    entry = next(e for e in _ours(pod)["env"] if e["name"] == PLAN_VARIABLE)
    return plan_codec.decode(entry["value"])


FOREIGN = {
    # annotations by which other injectors were led elsewhere
    "vault-addr": "https://evil.example",
    "vault-serviceaccount": "admin",
    "vault-skip-verify": "true",
    "vault-tls-secret": "x",
    "vault-role": "admin",
    "vault-path": "kubernetes",
    "service-account": "admin",
    "agent-image": "evil",
    "agent-configmap": "evil",
    "agent-inject-command": "sh -c evil",
    "address": "https://evil.example",
    "role": "admin",
    "image": "evil",
    "security-context": "{}",
    "run-as-user": "0",
    "template": "{{ evil }}",
    "status": "injected",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_bank_vaults_issue_987_annotations_reach_no_image_template_or_security_context(name):
    """There is no such annotation: what is not in our table is denied, not passed on (T3, T4)."""
    decided = asking.outcome(asking.pod({"env": "A: x", name: FOREIGN[name]}), VAULT)

    assert asking.codes(decided) == ["SI-102"]


def test_cve_2026_54725_bank_vaults_no_annotation_names_an_address_or_an_account():
    """Stores come by name from cluster-scoped objects; the account is the pod's own (T1, T2)."""
    names = {annotation.name for annotation in ANNOTATIONS}
    fields = {field.name for field in dataclasses.fields(annotations.Wish)}

    for word in ("addr", "url", "host", "account", "token", "role", "image", "ca", "audience"):
        assert not [name for name in names | fields if word in name.split("-")], word
    pod = _injected({"env": 'A: "#{vault:secret/a#x}"'})
    assert "serviceAccountName" not in pod["spec"]
    assert _plan(pod).service_account == "default"


def test_cve_2026_41323_kyverno_a_value_cannot_name_where_a_token_goes():
    """A tenant's text in the place of a store's name or address is a name without a store (T1)."""
    for text in (
        "#{https://evil.example/x#y}",
        "#{evil.example:443/x#y}",
        '#{"https://evil.example":x}',
        "#{vault@evil:x/y#z}",
    ):
        decided = asking.outcome(asking.pod({"env": json.dumps({"A": text})}), VAULT)

        assert decided.kind == "deny"
        assert set(asking.codes(decided)) <= {"SI-101", "SI-110"}


@pytest.mark.parametrize("path", ["../sys/raw", "a/../../sys", "a//b", "a/%2e%2e/b", "a/b%3Fx/%2F"])
def test_cve_2026_122310_kyverno_the_path_that_is_checked_is_the_path_that_is_read(path):
    """What is not canonical is refused; what is, stands in the plan letter by letter (T7, T8)."""
    decided = asking.outcome(
        asking.pod({"env": json.dumps({"A": f'#{{vault:"k/{path}"#x}}'})}), VAULT
    )

    assert asking.codes(decided) == ["SI-101"]
    for written in ("k/a/b", "k/a/b?x=1"):  # the second is asked for as k/a/b%3Fx=1
        plan = _plan(_injected({"env": json.dumps({"A": f'#{{vault:"{written}"#x}}'})}))
        assert plan.reads[0].path == written


def test_cve_2026_22039_kyverno_a_namespaced_object_reaches_no_other_namespace():
    """A service reads as the pod that uses it, and only what both namespaces may read (T7)."""
    exports = [{"to": {"namespaces": ["shop"]}, "keys": ["*"]}]
    env = {"KEY": "#{vault:secret/billing/pay#key}", "SECRET": "#{k8s:pay#key}"}
    own = service("billing", "pay", env, exports=exports)

    plan = _plan(_injected({"env": 'A: "#{$pay.billing/KEY}"'}, own))

    assert (plan.namespace, plan.service_account) == ("shop", "default")
    assert "billing" not in json.dumps([store.document for store in plan.stores])
    # The Secret would be one of the pod's namespace, read for an expression of another.
    borrowed = asking.outcome(asking.pod({"env": 'A: "#{$pay.billing/SECRET}"'}), own)
    assert (asking.codes(borrowed), borrowed.operations) == (["SI-130"], ())


def test_cve_2026_22822_eso_no_function_reads_another_namespaces_secret():
    """The filters are a table of pure ones; a Secret has a name and no namespace (T9)."""
    assert set(reference.FILTERS) == {
        "default",
        "required",
        "base64",
        "base64decode",
        "json",
        "urlencode",
        "trim",
        "lines",
        "get",
        "yaml",
        "split",
    }
    for path in ("billing/app", "../billing/app", "billing.app/x"):
        decided = asking.outcome(asking.pod({"env": json.dumps({"A": f"#{{k8s:{path}#x}}"})}))
        assert asking.codes(decided) == ["SI-101"]


@pytest.mark.parametrize("name", ["getHostByName", "env", "file", "include", "exec", "http", "tpl"])
def test_cve_2026_34984_eso_no_function_asks_the_network_the_disk_or_the_environment(name):
    """An unknown filter is a mistake in the text, found before anything runs (T9)."""
    with pytest.raises(grammar.GrammarError):
        grammar.parse(f'#{{A | {name}("x")}}')


def test_cve_2026_26287_eso_a_stores_namespaces_are_checked_before_it_is_used():
    """A store for others adds no read, no mount and no token to the pod (T7)."""
    others = asking.vault("others", allowedNamespaces=["billing"])

    decided = asking.outcome(asking.pod({"env": 'A: "#{others:a/b#c}"'}), others)

    assert asking.codes(decided) == ["SI-110"]
    assert decided.operations == ()


def test_cve_2026_42875_eso_no_reference_of_a_store_has_a_namespace():
    """Secrets and ConfigMaps that a store names are those of the pod's own namespace (T7)."""
    document = {
        "vault": {
            "address": "https://vault.example",
            "auth": {
                "token": {
                    "token": {"secretRef": {"name": "a", "key": "b", "namespace": "kube-system"}}
                }
            },
        }
    }

    with pytest.raises(Refused) as caught:
        stores.parse("vault", document)

    [problem] = caught.value.problems
    assert problem.source == "spec.vault.auth.token.token.secretRef.namespace"


def test_cve_2026_42876_eso_nothing_in_the_cluster_is_written():
    """A decision is operations on the one pod it was asked about (T7).

    They are in its spec, and one is a note to the cluster autoscaler about our volumes.
    """
    pod = asking.pod({"env": 'A: "#{vault:secret/a#x}"', "files": 'f: "#{k8s:app#x}"'})

    decided = asking.outcome(pod, VAULT)

    assert decided.operations
    elsewhere = [o for o in decided.operations if not str(o["path"]).startswith("/spec/")]
    assert [(o["op"], o["value"]) for o in elsewhere] == [("add", "secret-injector")]


def test_cve_2026_8715_vso_a_store_in_a_cluster_reads_no_file_of_the_machine():
    """`file:` is for laptops: the webhook and the injector refuse it (T2, T8)."""
    document = {
        "vault": {
            "address": "https://vault.example",
            "auth": {"token": {"token": {"file": "/var/run/secrets/token"}}},
        }
    }

    with pytest.raises(Refused):
        stores.parse("vault", document)


def test_cve_2026_12564_awx_a_token_is_bound_to_the_audience_of_its_store():
    """Each store gets a token of its own, short-lived and for its audience alone (T1, T2)."""
    pod = _injected(
        {"env": 'A: "#{vault:secret/a#x}"\nB: "#{bao:secret/a#x}"'},
        asking.vault("bao", audience="https://bao.example"),
    )

    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    found = [
        (source["serviceAccountToken"]["audience"], source["serviceAccountToken"]["path"])
        for source in volumes["secret-injector-sources"]["projected"]["sources"]
    ]
    assert found == [("https://bao.example", "tokens/bao"), ("vault", "tokens/vault")]
    for container in pod["spec"]["containers"]:
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert "secret-injector-sources" not in mounted


@pytest.mark.parametrize(
    "name",
    ["..", ".", "a/../../b", "/etc/passwd", "..data", "a//b", "a\x00b", "%2e%2e/x", "a\\b", "",
     "x" * 254, "a/..b/c", "a b", "a\nb", "é", "a/" * 9 + "a"],
)  # fmt: skip
def test_cve_2020_8567_and_8568_csi_a_file_name_leaves_no_folder(name):
    """Names are plain or refused, at admission and in the plan alike (T5)."""
    text = json.dumps({"f": {"value": "x", "path": name or "/"}}, ensure_ascii=False)

    assert asking.outcome(asking.pod({"files": text})).kind == "deny"
    assert not plan_codec.is_file_path(name)


@pytest.mark.parametrize(
    "path",
    ["/", "/proc", "/proc/self", "/sys", "/dev/shm", "/etc", "/etc/ssl", "/run", "/var", "/var/run",
     "/var/run/secrets", "/var/run/secrets/kubernetes.io/serviceaccount", "/run/secrets",
     "/run/secret-injector", "/run/secret-injector/x", "relative", "/a/../etc", "/a//b", "//",
     "/a:b"],
)  # fmt: skip
def test_cve_2020_8568_csi_files_are_mounted_over_nothing_of_the_system(path):
    """Folders of the system, their parents and what is not canonical are refused (T5)."""
    decided = asking.outcome(asking.pod({"files": "a: x", "files_path": path}))

    assert asking.codes(decided) == ["SI-103"]


def test_bank_vaults_issue_724_what_is_executed_is_mounted_read_only():
    """Each mount of an app container is read-only, and env files are in none of them (T6)."""
    pod = _injected(
        {"env": 'A: "#{vault:secret/a#x}"', "files": "b: x", "env_mode": "native"},
        asking.node("v1.36.0"),
    )

    for container in pod["spec"]["containers"]:
        for mount in container["volumeMounts"]:
            assert mount["readOnly"] is True
            assert mount["name"] == "secret-injector"
            assert mount["subPath"].startswith(container["name"] + "/")


INJECTIONS = ['"}\n', "{{evil}}", "${evil}", "%s", "`id`", "\u2028", "#cloud-config", "'; id; '"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_cve_2025_1974_ingress_nginx_annotation_text_is_data_in_the_plan(text):
    """The plan is JSON of typed values: text comes out of it as it went in (T3)."""
    pod = _injected({"env": json.dumps({"A": text}, ensure_ascii=False)})

    [value] = _plan(pod).values
    assert value.parts == (text,)


@pytest.mark.parametrize("text", [b"{{7*7}}", b"#{A}", b"$(A)", b"${A}", b"%(A)s", b"#{k8s:a#b}"])
def test_cve_2026_34984_eso_a_value_is_never_read_as_a_template(text):
    """Filters give back what they get; no value goes through the grammar again (T9)."""
    assert filters.apply(Filter(name="trim"), Text(data=text)).data == text


@pytest.mark.parametrize("count", [1, 2, 64])
def test_go_2026_4382_kyverno_circles_end_with_the_whole_path(count):
    """A circle is named, not followed (T11)."""
    keys = {f"K{at}": f"#{{K{(at + 1) % count}}}" for at in range(count)}

    decided = asking.outcome(asking.pod({"env": json.dumps(keys)}))

    [problem] = [p for p in decided.problems if p.code.id == "SI-115"]
    assert problem.what.count("→") == count


def test_go_2025_3823_kyverno_variables_do_not_amplify():
    """Two to the thirtieth uses of one value take thirty entries of the plan (T11, T12)."""
    keys = {"K0": "#{k8s:a#x}", **{f"K{n + 1}": f"#{{K{n}}}#{{K{n}}}" for n in range(30)}}

    pod = _injected({"env": json.dumps(keys)})

    assert len(_plan(pod).values) == 31


def test_t4_our_container_meets_the_restricted_pod_security_standard():
    """Whatever the pod says of itself, ours is what the platform made it."""
    ours = _ours(
        _injected({"env": 'A: "#{vault:secret/a#x}"'}, securityContext={"privileged": True})
    )

    assert ours["image"] == asking.INJECTION.image
    assert ours["command"] == ["/usr/lib/secret-injector/launcher"]
    assert ours["args"] == ["fetch"]
    assert ours["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_t20_names_that_steer_a_process_come_from_the_pod_alone():
    """A service may not set LD_PRELOAD for whoever uses it; the pod's own annotation may."""
    evil = service("shop", "evil", {"LD_PRELOAD": "/evil.so"})

    assert asking.codes(asking.outcome(asking.pod({"service": "evil"}), evil)) == ["SI-118"]
    assert asking.outcome(asking.pod({"env": "LD_PRELOAD: /own.so"}), evil).kind == "inject"


def test_a_definition_that_a_schema_would_refuse_denies_its_users_and_nobody_else():
    """Objects stored while the webhook was away are judged when they are used."""
    broken = service("shop", "broken", {"A": "#{"}, unknown=True)
    assert resources.service(broken).problems

    catalog = Catalog.of([broken, service("shop", "fine", {"A": "x"})])

    for name, kind in (("broken", "deny"), ("fine", "inject")):
        request = asking.request(asking.pod({"service": name}))
        assert decide.decide(request, catalog, asking.INJECTION).kind == kind
