"""Keys of a secret as variables: what the commands say of those that nobody lists."""

import json

import pytest
import yaml

STORE = """\
kind: ClusterSecretStore
metadata: {name: vault}
spec: {vault: {address: "https://vault:8200", auth: {kubernetes: {role: app}}}}
"""
SERVICE = """\
apiVersion: secret-injector.io/v1alpha1
kind: ServiceSecrets
metadata: {name: checkout, namespace: shop}
spec:
  env: {REGION: eu}
  from:
    - {from: "vault:secret/shop", keys: ["*"], prefix: DB_, rename: {login: USER}}
    - {from: "vault:secret/mail", keys: [TOKEN]}
"""
POD = """\
kind: Pod
metadata:
  name: x
  namespace: shop
  annotations:
    secret-injector.io/service: checkout
    secret-injector.io/env: |
      __from: {from: "k8s:mine", keys: ["A*", "B*"]}
spec: {containers: [{name: app, image: app, command: [serve]}]}
"""


OF_LINT = [
    f"{place}: warning: {text}"
    for place, text in {
        "pod.yaml:1": "SI-103 annotation secret-injector.io/env for *: #{k8s:mine}: no key"
        " of it is taken",
        "service.yaml:10": "SI-119 spec.from[0] for * (ServiceSecrets shop/checkout):"
        " #{vault:secret/a}: no key of it is taken",
        "service.yaml:11": 'SI-118 spec.from[1]: "PGHOST" decides whom a process talks to or'
        " believes, in every pod that takes it",
    }.items()
]


def test_explain_shows_which_keys_come_from_which_secret_and_what_wins(command):
    """Of a pod and of a service; listed keys stand there like any other key."""
    status, out, _ = command("explain", "checkout", pod=POD, service=SERVICE, store=STORE)

    assert status == 0
    assert (
        out
        == """\
Pod shop/x
├─ REGION   (container app)
│    is        eu
│    from      ServiceSecrets shop/checkout spec.env.REGION (service.yaml:5)
├─ TOKEN   (container app)
│    is        #{vault:secret/mail#TOKEN}
│    from      ServiceSecrets shop/checkout spec.from[1] (service.yaml:8)
│    reads     vault secret/mail#TOKEN
├─ DB_*   (container app)
│    is        keys * of #{vault:secret/shop}, login as DB_USER; each name that is set wins over it
│    from      ServiceSecrets shop/checkout spec.from[0] (service.yaml:7)
│    reads     vault secret/shop
└─ *   (container app)
     is        keys A*, B* of #{k8s:mine}; each name that is set wins over it
     from      annotation secret-injector.io/env __from (pod.yaml:7)
     reads     k8s mine
reserved for the pod, before → after injection: cpu 0 → 10m, memory 0 → 32Mi

ServiceSecrets shop/checkout
├─ REGION
│    is        eu
│    from      ServiceSecrets shop/checkout spec.env.REGION (service.yaml:5)
├─ TOKEN
│    is        #{vault:secret/mail#TOKEN}
│    from      ServiceSecrets shop/checkout spec.from[1] (service.yaml:8)
└─ DB_*
     is        keys * of #{vault:secret/shop}, login as DB_USER; each name that is set wins over it
     from      ServiceSecrets shop/checkout spec.from[0] (service.yaml:7)
"""
    )


def test_who_uses_finds_whoever_takes_keys_of_a_secret(command):
    """The service as it is written, and the pod by its plan; a listed key by its name."""
    status, out, _ = command("who-uses", "vault:secret/*", pod=POD, service=SERVICE, store=STORE)
    _, listed, _ = command("who-uses", "TOKEN", "-o", "json", service=SERVICE, store=STORE)

    assert status == 0
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["ServiceSecrets", "shop/checkout", "spec.from[1]", "vault:secret/mail", "TOKEN"],
        ["ServiceSecrets", "shop/checkout", "spec.from[0]", "vault:secret/shop", "*"],
        *(
            ["Pod", "shop/x", *place, "of", "ServiceSecrets", "shop/checkout", target, key]
            for place, target, key in (
                (["TOKEN"], "vault:secret/mail", "TOKEN"),
                (["DB_*"], "vault:secret/shop", "*"),
            )
        ),
    ]
    assert [row["place"] for row in json.loads(listed)] == ["spec.from[1]"]


def test_lint_warns_of_entries_that_take_nothing_and_of_listed_endpoints(command):
    """Neither is refused: nothing is taken by default, and within the namespace a name is free."""
    service = yaml.safe_load(SERVICE)
    service["spec"]["from"] = [{"from": "vault:secret/a"}, {"from": "k8s:b", "keys": ["PGHOST"]}]
    pod = POD.replace(', keys: ["A*", "B*"]', "")

    status, out, _ = command("lint", pod=pod, service=yaml.safe_dump(service), store=STORE)

    assert status == 0
    assert [line for line in out.splitlines() if not line.startswith(" ")] == OF_LINT


def test_an_environment_takes_no_keys_of_a_secret_at_once(command):
    """What all services of a namespace may name is named there."""
    environment = """\
apiVersion: secret-injector.io/v1alpha1
kind: EnvironmentSecrets
metadata: {name: dev}
spec:
  namespaceSelector: {}
  env: {__from: {from: "vault:secret/shop", keys: ["*"]}}
"""
    status, out, _ = command("lint", environment=environment, store=STORE)

    assert status == 3
    assert out.splitlines()[0] == (
        "environment.yaml:6: error: SI-119 spec.env.__from (EnvironmentSecrets dev): an environment"
        " names each of its keys: write NAME: '#{store:path#key}'"
    )


POLICIES = """\
kind: ClusterInjectionPolicy
metadata: {name: guard}
spec: {rules: {keys: {deny: ["*_ROOT"]}}, final: [DB_URL]}
---
kind: ClusterInjectionPolicy
metadata: {name: watch}
spec: {action: Warn, rules: {keys: {deny: ["*TOKEN*"]}}}
"""
TAKES = """\
secret-injector.io/env: '{DB_URL: mine, __from: {from: "vault:secret/a@3", keys: ["*"]}}'
"""
SERVES = """\
kind: ServiceSecrets
metadata: {name: s, namespace: shop}
spec: {from: [{from: "vault:secret/s", keys: ["*"]}]}
"""


def case(text, annotations=TAKES):
    """Return the text of a file with one case about a pod."""
    named = yaml.safe_load(annotations)
    pod = yaml.safe_load(POD)
    pod["metadata"]["annotations"] = named
    return yaml.safe_dump({"cases": [{"name": "it", "pod": pod, **yaml.safe_load(text)}]})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{expect: warn, keys: {"vault:secret/a@3": [A, X_ROOT]}, leftOut: [X_ROOT]}', ""),
        ('{expect: warn, keys: {"vault:secret/a@3": [PATH]}, codes: [SI-118]}', ""),
        ('{expect: warn, keys: {"vault:secret/a@3": [TOKEN]}, policies: [watch], leftOut: []}', ""),
        ('{expect: allow, keys: {"vault:secret/a@3": [A, DB_URL]}}', ""),
        ("{expect: allow}", ""),
        ('{expect: allow, keys: {"vault:secret/a@3": [X_ROOT]}}', "expected allow, got warn"),
        (
            '{expect: warn, keys: {"vault:secret/a@3": [X_ROOT]}, leftOut: []}',
            "left out are X_ROOT",
        ),
        (
            '{expect: allow, keys: {"vault:secret/a": [A]}}',
            "vault:secret/a is no secret that the pod takes all keys of",
        ),
    ],
)
def test_policy_test_judges_keys_that_a_case_names(command, tmp_path, text, what):
    """The secret is not read: the case says what is in it, and which variables do not come."""
    (tmp_path / "cases.yaml").write_text(case(text))

    status, out, _ = command("policy", "test", "--cases", "cases.yaml", p=POLICIES, store=STORE)

    assert out.splitlines()[0] == (f"FAIL  it: {what}" if what else "ok    it")
    assert status == (3 if what else 0)


def test_policy_test_knows_that_the_pod_may_not_set_a_final_key_of_its_services_secret(
    command, tmp_path
):
    """What would fail the fetch is a denial."""
    annotations = "{secret-injector.io/service: s, secret-injector.io/env: 'DB_URL: mine'}"
    text = '{expect: deny, policies: [guard], codes: [SI-121], keys: {"vault:secret/s": [DB_URL]}}'
    (tmp_path / "cases.yaml").write_text(case(text, annotations))
    files = {"p": POLICIES, "store": STORE, "s": SERVES}

    status, out, _ = command("policy", "test", "--cases", "cases.yaml", **files)

    assert (status, out.splitlines()[0]) == (0, "ok    it")
