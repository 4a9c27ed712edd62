"""`migrate`: all keys of a path, of a Secret and of an ExternalSecret, said in our words."""

import pytest
import yaml

STORE = """\
kind: ClusterSecretStore
metadata: {name: vault}
spec: {vault: {address: "https://vault:8200", auth: {kubernetes: {role: app}}}}
"""


def pod(annotations="", **container):
    """Return the text of a pod with one container."""
    app = {"name": "app", "image": "app", "command": ["serve"], **container}
    metadata = {"name": "x", "annotations": yaml.safe_load(annotations) or {}}
    return yaml.safe_dump({"kind": "Pod", "metadata": metadata, "spec": {"containers": [app]}})


def annotated(text):
    """Return the annotations of a pod, those with YAML in them read."""
    found = yaml.safe_load(text)["metadata"]["annotations"]
    return {
        name: yaml.safe_load(value) if "/env" in name else value for name, value in found.items()
    }


def test_all_keys_of_paths_become_entries_and_the_last_path_wins_as_before(command):
    """A version is kept, and the path of KV's second version is written as people write it."""
    theirs = (
        "vault.security.banzaicloud.io/vault-from-path: secret/data/accounts/aws#1,secret/data/x"
    )

    status, out, err = command("migrate", pod=pod(theirs))

    assert (status, err) == (0, "")
    assert annotated(out) == {
        "secret-injector.io/env": {
            "__from": [
                {"from": "vault:secret/accounts/aws@1", "keys": ["*"]},
                {"from": "vault:secret/x", "keys": ["*"]},
            ]
        }
    }
    status, _, err = command("mutate", "-o", "patch", migrated=out, store=STORE)
    assert (status, err) == (0, "migrated.yaml:1: Pod default/x: inject (injected)\n")


def test_a_path_with_a_template_and_a_container_without_command_are_told(command):
    """What a template stands for is not guessed, and what needs the launcher needs a command."""
    theirs = "vault.security.banzaicloud.io/vault-env-from-path: 'a/{{ x }},secret/b'"

    status, out, err = command("migrate", pod=pod(theirs, command=[]))

    assert status == 3
    assert annotated(out) == {
        "secret-injector.io/env": {"__from": [{"from": "vault:secret/b", "keys": ["*"]}]}
    }
    assert err == (
        "pod.yaml:1: vault.security.banzaicloud.io/vault-env-from-path: has a template in it;"
        " compose the value with filters, or store it as it is needed\n"
        "pod.yaml:1: container app: set command: keys that nobody lists come through the launcher;"
        " or list them under keys\n"
    )


def test_a_template_that_loops_over_keys_is_told_what_to_write(command):
    """A program that reads such a file would have to stop reading it, so nothing is guessed."""
    theirs = """
vault.hashicorp.com/agent-inject-secret-env: secret/data/db
vault.hashicorp.com/agent-inject-template-env: |
  {{ with secret "secret/data/db" }}{{ range $k, $v := .Data.data }}
  export {{ $k }}="{{ $v }}"
  {{ end }}{{ end }}
"""
    status, _, err = command("migrate", pod=pod(theirs))

    assert (status, err) == (
        3,
        (
            "pod.yaml:1: vault.hashicorp.com/agent-inject-template-env: a loop over keys: for a"
            ' variable of each write __from: {from: "vault:secret/db", keys: ["*"]} in the'
            " annotation env\n"
        ),
    )


def test_secrets_of_env_from_become_entries_of_their_container(command):
    """With prefix and optional; a ConfigMap in front of them stays, for it is weaker."""
    entries = [
        {"configMapRef": {"name": "settings"}},
        {"secretRef": {"name": "db"}, "prefix": "DB_"},
        {"secretRef": {"name": "extra", "optional": True}},
    ]

    status, out, err = command("migrate", pod=pod(envFrom=entries))

    assert (status, err) == (0, "")
    assert annotated(out) == {
        "secret-injector.io/inject": "true",
        "secret-injector.io/env.app": {
            "__from": [
                {"from": "k8s:db", "keys": ["*"], "prefix": "DB_"},
                {"from": "k8s:extra", "keys": ["*"], "required": False},
            ]
        },
    }
    assert yaml.safe_load(out)["spec"]["containers"][0]["envFrom"] == entries[:1]
    status, _, err = command("mutate", "-o", "patch", migrated=out)
    assert (status, err) == (0, "migrated.yaml:1: Pod default/x: inject (injected)\n")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            {"envFrom": [{"secretRef": {"name": "a"}}, {"configMapRef": {"name": "b"}}]},
            (
                "envFrom of container app: a ConfigMap behind a Secret wins over its keys: put"
                " it in front"
            ),
        ),
        (
            {"envFrom": [{"secretRef": {"name": "a"}}], "command": []},
            (
                "container app: set command: keys that nobody lists come through the launcher; or"
                " list them under keys"
            ),
        ),
    ],
)
def test_env_from_stays_where_it_cannot_mean_the_same(command, more, why):
    """The pod is as it was, and the reason is told."""
    given = pod(**more)

    status, out, err = command("migrate", pod=given)

    assert (status, err) == (3, f"pod.yaml:1: {why}\n")
    assert yaml.safe_load(out) == yaml.safe_load(given)


def test_secrets_that_may_hold_references_of_bank_vaults_stay(command):
    """Their values would be text here."""
    theirs = "vault.security.banzaicloud.io/vault-from-path: secret/data/x"
    entries = [{"secretRef": {"name": "a"}}]

    status, out, err = command("migrate", pod=pod(theirs, envFrom=entries))

    assert status == 3
    assert err == (
        "pod.yaml:1: envFrom of container app: values of the Secret may be references of"
        " bank-vaults: write them as keys of ours\n"
    )
    assert yaml.safe_load(out)["spec"]["containers"][0]["envFrom"] == entries


EXTERNAL = """\
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: shop, namespace: shop}
spec:
  secretStoreRef: {name: team, kind: SecretStore}
  target: {name: shop-env}
  data:
    - {secretKey: PASSWORD, remoteRef: {key: secret/db, property: password}}
    - {secretKey: DEEP, remoteRef: {key: secret/db, property: a.b, version: "3"}}
    - {secretKey: WHOLE, remoteRef: {key: "secret/a b"}}
    - {secretKey: "a=b", remoteRef: {key: secret/db}}
    - {secretKey: BAD, remoteRef: {key: ../x}}
  dataFrom:
    - {extract: {key: secret/shop}}
    - extract: {key: secret/mail, version: "2"}
      rewrite: [{regexp: {source: "(.*)", target: "MAIL_$1"}}]
    - extract: {key: secret/odd}
      rewrite: [{regexp: {source: "x(.*)", target: "$1"}}]
    - find: {name: {regexp: ".*"}}
"""


def test_an_external_secret_gets_a_service_beside_it_and_its_pods_import_that(command):
    """The ExternalSecret stays, for its Secret may have other readers."""
    pods = yaml.safe_load(pod(envFrom=[{"secretRef": {"name": "shop-env"}}]))
    pods["metadata"]["namespace"] = "shop"

    status, out, err = command("migrate", external=EXTERNAL, pod=yaml.safe_dump(pods))

    kept, service, injected = yaml.safe_load_all(out)
    assert status == 3
    assert kept == yaml.safe_load(EXTERNAL)
    assert service == {
        "apiVersion": "secret-injector.io/v1alpha1",
        "kind": "ServiceSecrets",
        "metadata": {"name": "shop-env", "namespace": "shop"},
        "spec": {
            "env": {
                "PASSWORD": "#{vault:secret/db#password}",
                "DEEP": "#{vault:secret/db#/a/b@3}",
                "WHOLE": '#{vault:"secret/a b"}',
            },
            "from": [
                {"from": "vault:secret/shop", "keys": ["*"]},
                {"from": "vault:secret/mail@2", "keys": ["*"], "prefix": "MAIL_"},
            ],
        },
    }
    assert injected["metadata"]["annotations"] == {
        "secret-injector.io/inject": "true",
        "secret-injector.io/env": "__import_svc:\n- $shop-env\n",
    }
    assert err.splitlines() == [
        f"external.yaml:1: {line}"
        for line in (
            "data a=b: is not the name of a variable: write it under spec.files",
            "data BAD: is of no form that a reference has",
            "dataFrom[2]: a rewrite other than to a prefix: use prefix and rename",
            "dataFrom[3]: keys that a search or a generator finds: name the secret",
            "paths: see that they begin with the mount that team sets",
        )
    ]
    ours = yaml.safe_dump_all([service, injected])
    status, _, err = command("mutate", "-o", "patch", migrated=ours, store=STORE)
    assert status == 0, err
