"""The commands that look at files: what they print, where they say it is, and how they end."""

import json

import pytest
import yaml

STORE = """\
apiVersion: secret-injector.io/v1alpha1
kind: ClusterSecretStore
metadata: {name: vault}
spec:
  vault: {address: "https://vault:8200", auth: {kubernetes: {role: app}}}
"""
SERVICES = """\
apiVersion: secret-injector.io/v1alpha1
kind: ServiceSecrets
metadata: {name: base, namespace: shop}
spec:
  env:
    HOST: db.internal
    PASSWORD: "#{vault:secret/db#password}"
---
apiVersion: secret-injector.io/v1alpha1
kind: ServiceSecrets
metadata: {name: checkout, namespace: shop}
spec:
  env:
    __import_svc: $base
    HOST: other.internal
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout, namespace: shop}
spec:
  template:
    metadata:
      annotations:
        secret-injector.io/service: checkout
    spec:
      containers:
      - {name: app, image: app, command: [serve]}
"""


def test_mutate_changes_the_template_and_nothing_else(command):
    """The Deployment comes back injected, the other documents as they were, the verdict aside."""
    status, out, err = command("mutate", deployment=DEPLOYMENT, services=SERVICES, store=STORE)

    deployment, *others = yaml.safe_load_all(out)
    spec = deployment["spec"]["template"]["spec"]
    assert status == 0
    assert err == "deployment.yaml:1: Deployment shop/checkout: inject (injected)\n"
    assert others == [*yaml.safe_load_all(SERVICES), *yaml.safe_load_all(STORE)]
    assert [c["name"] for c in spec["initContainers"]] == ["secret-injector"]
    assert spec["containers"][0]["command"] == [
        "/run/secret-injector/launcher",
        "/run/secret-injector/env",
        "--",
        "serve",
    ]


def test_mutate_prints_a_patch_that_applies_to_the_pod(command):
    """The patch is the webhook's own; a diff shows the same as lines."""
    _, patch, _ = command("mutate", "-o", "patch", deployment=DEPLOYMENT, rest=SERVICES)
    status, diff, _ = command(
        "mutate", "-o", "diff", deployment=DEPLOYMENT, rest=f"{SERVICES}---\n{STORE}"
    )

    assert patch == ""  # without its store the pod is refused
    assert status == 0
    assert "+        - /run/secret-injector/launcher\n" in diff


def test_mutate_tells_a_refusal_and_ends_as_it(command):
    """All problems stand on standard error, the manifest passes through."""
    status, out, err = command("mutate", deployment=DEPLOYMENT)

    assert status == 2
    assert yaml.safe_load(out) == yaml.safe_load(DEPLOYMENT)
    assert err == (
        "deployment.yaml:1: Deployment shop/checkout: deny (refused)\n"
        '  SI-116 annotation secret-injector.io/service: there is no ServiceSecrets "checkout"'
        " in namespace shop\n"
        "         hint: the owner lists who may import under spec.exports; check name, namespace"
        " and key\n"
    )


def test_explain_shows_what_a_key_is_where_it_stands_and_what_it_won_over(command):
    """File and line are those of the definitions."""
    status, out, _ = command(
        "explain", "HOST", deployment=DEPLOYMENT, services=SERVICES, store=STORE
    )

    assert status == 0
    assert out.split("\n\n")[0] == (
        "Deployment shop/checkout\n"
        "└─ HOST   (container app)\n"
        "     is        other.internal\n"
        "     from      ServiceSecrets shop/checkout spec.env.HOST (services.yaml:15)\n"
        "     overrides ServiceSecrets shop/base spec.env.HOST (services.yaml:6)\n"
        "reserved for the pod, before → after injection: cpu 0 → 10m, memory 0 → 32Mi"
    )


PLACED = """apiVersion: v1
kind: Pod
metadata:
  name: x
  namespace: shop
  annotations:
    secret-injector.io/files-path.app: /etc/shop
    secret-injector.io/files: |
      a: "#{vault:secret/db#a}"
      b: {value: "#{vault:secret/db#b}", path: /srv/b}
    secret-injector.io/env: |
      A: {value: "#{vault:secret/db#c}", override: true}
spec:
  containers:
    - name: app
      image: a
      command: [x]
      env: [{name: A, valueFrom: {secretKeyRef: {name: chart, key: k}}}]
"""


def test_explain_shows_where_files_appear_and_what_an_override_takes_away(command):
    """A file has its whole path; the entry of the container's own env stands below the winner."""
    status, out, _ = command("explain", "-o", "json", pod=PLACED, store=STORE)

    assert status == 0
    [report] = json.loads(out)
    assert [(a["target"], a["path"]) for a in report["accounts"]] == [
        ("A", ""),
        ("file /srv/b", "/srv/b"),
        ("file a", "/etc/shop/a"),
    ]
    [[overrode], *others] = [a["overrode"] for a in report["accounts"]]
    assert (overrode["origin"], overrode["place"], others) == (
        "env of container app",
        "A: secretKeyRef chart/k",
        [[], []],
    )


def test_explain_draws_the_graph_of_services(command):
    """Imports and stores are edges."""
    _, out, _ = command("explain", "-o", "mermaid", services=SERVICES)

    assert out == (
        "graph LR\n"
        '  n0["shop/base"]\n  n1["shop/checkout"]\n  n2["store vault"]\n'
        '  n0 -->|"PASSWORD"| n2\n  n1 -->|"imports"| n0\n'
    )


@pytest.mark.parametrize("code", ["SI-404", "si404"])
def test_explain_knows_every_code(command, code):
    """A code needs no files."""
    status, out, _ = command("explain", code)

    assert status == 0
    assert out == (
        "SI-404  no such secret, key or version\n\n"
        "  what to do   check the name, or give the key a default\n"
        "  exit status  6\n"
    )


def test_explain_suggests_the_name_that_was_meant(command):
    """Nothing by that name is a wrong call."""
    status, out, err = command("explain", "chekout", services=SERVICES)

    assert (status, out) == (2, "")
    assert err == (
        'SI-201 nothing here is called "chekout"\n       hint: did you mean "checkout"?\n'
    )


BROKEN = DEPLOYMENT.replace("secret-injector.io/service: checkout", "secret-injector.io/evn: x")
BROKEN += "---\n" + SERVICES.replace("#{vault:secret/db#password}", "#{vault:secret//db#password}")


def test_lint_names_file_and_line_of_every_problem(command):
    """The pod's annotation and the service's key are both found, each at its line."""
    status, out, _ = command("lint", all=BROKEN, store=STORE)

    assert status == 3
    assert [
        line.partition(": ")[0] for line in out.splitlines() if line.startswith("all.yaml")
    ] == [
        "all.yaml:8",
        "all.yaml:19",
    ]
    assert (
        "all.yaml:8: error: SI-102 annotation secret-injector.io/evn: no such annotation\n"
        '       hint: did you mean "env"?\n'
    ) in out


def test_lint_writes_what_code_scanning_reads(command):
    """SARIF and GitHub's commands hold code, file and line."""
    _, sarif, _ = command("lint", "-o", "sarif", all=BROKEN, store=STORE)
    _, github, _ = command("lint", "-o", "github", all=BROKEN, store=STORE)

    results = json.loads(sarif)["runs"][0]["results"]
    places = [r["locations"][0]["physicalLocation"] for r in results]
    assert [
        (r["ruleId"], p["region"]["startLine"]) for r, p in zip(results, places, strict=True)
    ] == [
        ("SI-102", 8),
        ("SI-101", 19),
    ]
    assert github.startswith("::error file=all.yaml,line=8,title=SI-102::SI-102 annotation ")


def test_lint_warns_of_annotations_on_the_workload(command):
    """A warning alone is no failure."""
    text = DEPLOYMENT.replace(
        "metadata: {name: checkout, namespace: shop}",
        "metadata: {name: checkout, namespace: shop, annotations: {secret-injector.io/service: x}}",
    )
    status, out, _ = command("lint", deployment=text, services=SERVICES, store=STORE)

    assert status == 0
    assert "move it to spec.template.metadata.annotations" in out


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("vault", ["ServiceSecrets shop/base", "Deployment shop/checkout"]),
        ("vault:secret/*", ["ServiceSecrets shop/base", "Deployment shop/checkout"]),
        ("base", ["ServiceSecrets shop/checkout"]),
        ("shop/checkout", ["Deployment shop/checkout"]),
    ],
)
def test_who_uses_finds_direct_and_inherited_users(command, name, who):
    """A store, a path of it, a service by its name, and one with its namespace."""
    status, out, _ = command(
        "who-uses", name, "-o", "json", deployment=DEPLOYMENT, services=SERVICES, store=STORE
    )

    assert status == 0
    assert [each["by"] for each in json.loads(out)] == who


def test_nobody_is_an_answer_too(command):
    """It goes to standard error, and the status says so."""
    assert command("who-uses", "nobody", services=SERVICES) == (
        6,
        "",
        'nothing refers to "nobody"\n',
    )


def test_a_policy_case_that_fails_says_why(command, tmp_path):
    """The claim, the answer, and the problems behind it."""
    (tmp_path / "cases.yaml").write_text(
        "cases:\n"
        "- {name: it passes, pod: deployment.yaml, expect: allow}\n"
        "- {name: it is refused, pod: deployment.yaml, expect: deny}\n"
    )
    status, out, _ = command(
        *("policy", "test", "--cases", "cases.yaml"),
        deployment=DEPLOYMENT,
        services=SERVICES,
        store=STORE,
    )

    assert status == 3
    assert out == (
        "ok    it passes\nFAIL  it is refused: expected deny, got allow\n1 passed, 1 failed\n"
    )


FOREIGN = """\
apiVersion: v1
kind: Pod
metadata:
  name: x
  annotations:
    vault.hashicorp.com/agent-inject: "true"
    vault.hashicorp.com/role: app
    vault.hashicorp.com/agent-inject-secret-db: secret/data/db
    vault.hashicorp.com/agent-inject-perms-db: "0440"
    vault.hashicorp.com/agent-inject-template-db: |
      {{- with secret "secret/data/db" -}}
      {{ .Data.data.password }}
      {{- end }}
    other.example.org/kept: "yes"
spec:
  containers:
  - name: app
    image: app
    command: [serve]
    env:
    - {name: PINNED, value: "vault:secret/data/db#password#2"}
    - {name: INLINE, value: "redis://${vault:database/creds/r#username}@h"}
    - {name: TEMPLATE, value: "vault:secret/data/x#${.user | upper}"}
    - {name: PLAIN, value: plain}
"""


def test_migrate_translates_what_has_an_equal_and_lists_the_rest(command):
    """Annotations and references become ours; what cannot be said is told with its reason."""
    status, out, err = command("migrate", "--store", "vault", pod=FOREIGN)

    pod = yaml.safe_load(out)
    assert status == 3
    assert {k: yaml.safe_load(v) for k, v in pod["metadata"]["annotations"].items()} == {
        "other.example.org/kept": True,
        "secret-injector.io/inject": True,
        "secret-injector.io/inline": "PINNED,INLINE",
        "secret-injector.io/files": {
            "db": {"value": "#{vault:secret/db#password}", "mode": "0440"}
        },
        "secret-injector.io/files-path": "/vault/secrets",
    }
    assert {e["name"]: e["value"] for e in pod["spec"]["containers"][0]["env"]} == {
        "PINNED": "#{vault:secret/db#password@2}",
        "INLINE": "redis://#{vault:database/creds/r#username}@h",
        "TEMPLATE": "vault:secret/data/x#${.user | upper}",
        "PLAIN": "plain",
    }
    assert err == (
        "pod.yaml:1: vault.hashicorp.com/role: server and login are set in ClusterSecretStore"
        " vault, by a platform team\n"
        "pod.yaml:1: env TEMPLATE of container app: has a template in it; compose the value with"
        " filters, or store it as it is needed\n"
    )


THEIR_FOLDERS = """apiVersion: v1
kind: Pod
metadata:
  name: x
  annotations:
    vault.hashicorp.com/agent-inject: "true"
    vault.hashicorp.com/secret-volume-path: /etc/shop/
    vault.hashicorp.com/secret-volume-path-b: /srv/keys/
    vault.hashicorp.com/secret-volume-path-c: /proc
    vault.hashicorp.com/agent-inject-file-b: b.key
    vault.hashicorp.com/agent-inject-secret-a: secret/data/a
    vault.hashicorp.com/agent-inject-template-a: '{{ with secret "secret/data/a" }}{{ .Data.data.k }}{{ end }}'
    vault.hashicorp.com/agent-inject-secret-b: secret/data/b
    vault.hashicorp.com/agent-inject-template-b: '{{ with secret "secret/data/b" }}{{ .Data.data.k }}{{ end }}'
    vault.hashicorp.com/agent-inject-secret-c: secret/data/c
    vault.hashicorp.com/agent-inject-template-c: '{{ with secret "secret/data/c" }}{{ .Data.data.k }}{{ end }}'
spec: {containers: [{name: app, image: app, command: [serve]}]}
"""  # noqa: E501 - a template has no line breaks


def test_migrate_keeps_the_folders_that_applications_look_into(command):
    """One folder for all, /vault/secrets by default, and a path for each that has its own."""
    status, out, err = command("migrate", "--store", "vault", pod=THEIR_FOLDERS)

    annotations = yaml.safe_load(out)["metadata"]["annotations"]
    assert annotations["secret-injector.io/files-path"] == "/etc/shop/"
    assert yaml.safe_load(annotations["secret-injector.io/files"]) == {
        "a": "#{vault:secret/a#k}",
        "b.key": {"value": "#{vault:secret/b#k}", "path": "/srv/keys/b.key"},
        "c": "#{vault:secret/c#k}",
    }
    why = '"/proc/c" lies where the system keeps its own files'
    assert err == f"pod.yaml:1: vault.hashicorp.com/secret-volume-path-c: {why}\n"
    assert status == 3
    status, _, err = command("mutate", "-o", "patch", migrated=out, store=STORE)
    assert (status, err) == (0, "migrated.yaml:1: Pod default/x: inject (injected)\n")


def test_what_migrate_writes_is_accepted(command, tmp_path):
    """Its output, the untranslated part apart, is injected by the webhook's own decision."""
    clean = "".join(line for line in FOREIGN.splitlines(True) if "TEMPLATE" not in line)
    _, out, _ = command("migrate", pod=clean)
    status, _, err = command("mutate", "-o", "patch", migrated=out, store=STORE)

    assert status == 0
    assert err == "migrated.yaml:1: Pod default/x: inject (injected)\n"


def test_migrate_has_the_translated_variables_evaluated_and_no_others(command):
    """An init container is named to be served, and text beside the references stays text."""
    pod = """apiVersion: v1
kind: Pod
metadata: {name: x}
spec:
  initContainers:
    - {name: setup, image: a, command: [x], env: [{name: A, value: "vault:secret/data/a#k"}]}
  containers:
    - {name: app, image: a, command: [x], env: [{name: RUBY, value: "#{user.name}"}]}
"""
    _, out, _ = command("migrate", pod=pod)

    assert yaml.safe_load(out)["metadata"]["annotations"] == {
        "secret-injector.io/inject": "true",
        "secret-injector.io/inline": "A",
        "secret-injector.io/containers": "setup,app",
    }
    status, _, err = command("mutate", "-o", "patch", migrated=out, store=STORE)
    assert (status, err) == (0, "migrated.yaml:1: Pod default/x: inject (injected)\n")


def test_explain_says_which_policy_has_a_word_about_a_key(command):
    """Policies that match the pod stand above, what one says of a key stands with the key."""
    policy = (
        "apiVersion: secret-injector.io/v1alpha1\nkind: ClusterInjectionPolicy\n"
        "metadata: {name: pinned}\nspec: {action: Warn, rules: {versions: pinned}}\n"
    )
    _, out, _ = command(
        *("explain", "checkout", "-o", "json"),
        deployment=DEPLOYMENT,
        services=SERVICES,
        store=STORE,
        policy=policy,
    )

    pod = json.loads(out)[0]
    word = (
        "SI-121 vault secret/db#password for PASSWORD (ServiceSecrets shop/base): the version"
        " must be pinned: add @VERSION (policy pinned, rule versions)"
    )
    assert pod["policies"] == ["pinned"]
    assert {each["target"]: each["policies"] for each in pod["accounts"]} == {
        "HOST": [],
        "PASSWORD": [word],
    }
