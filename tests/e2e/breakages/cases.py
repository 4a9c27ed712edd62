"""What breaks, and what `kubectl` shows first: the table of docs/breakages.md, and its proof.

The texts are those of the namespace `shop`. `test_breakages.py` makes every case for real and reads
kubectl's words; the page is made from the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NAMESPACE = "shop"
PREFIX = "secret-injector.io/"

APPLY = "kubectl apply"
DESCRIBE = "kubectl describe pod"
NOWHERE = "nowhere: it starts"

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakage:
    """A Deployment with one thing wrong.

    `shown` is the line that `seen_in` shows first, `hint` the line below it; a warning has both on
    one. `annotations` are of its pods, without our prefix; `container`, `spec` and `beside` are
    added to the container, the pod and the annotations of the Deployment itself; `others` are
    annotations of its pods with names of their own. `starts` says that its pods are not refused.
    """

    name: str
    wrong: str
    shown: str = ""
    hint: str = ""
    seen_in: str = APPLY
    annotations: Mapping[str, str] = field(default_factory=dict)
    container: Fields = field(default_factory=dict)
    spec: Fields = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    starts: bool = False


def env(text: str) -> Mapping[str, str]:
    """Return the annotation that sets one variable, or what it is written as."""
    return {"env": text if "\n" in text else f'PASSWORD: "{text}"'}


GOOD = "#{vault:secret/shop/db#password}"
AT = "annotation secret-injector.io/env"

APPLIED = (
    Breakage(
        name="store-of-others",
        wrong="the store is not for this namespace",
        annotations=env("#{vault-team:secret/shop/db#password}"),
        shown=f'SI-110 {AT} for PASSWORD: the store "vault-team" does not serve namespace shop:'
        " its allowedNamespaces; kubectl get csstore lists the stores; allowedNamespaces says who"
        " ...",
    ),
    Breakage(
        name="store-typo",
        wrong="the store's name has a typo",
        annotations=env("#{valt:secret/shop/db#password}"),
        shown=f'SI-110 {AT} for PASSWORD: no store "valt" serves namespace shop;'
        ' did you mean "vault"?',
    ),
    Breakage(
        name="filter-unknown",
        wrong="there is no such filter",
        annotations=env("#{vault:secret/shop/db#password | base64encode}"),
        shown=f'SI-101 PASSWORD column 35 ({AT}): no filter is called "base64encode";'
        ' did you mean "base64"? filters: default, required, base64, base64decode, json,'
        " urlencode, trim, li...",
    ),
    Breakage(
        name="quote-left-open",
        wrong="a quote in the annotation's YAML is never closed",
        annotations=env(f'PASSWORD: "{GOOD}\nUSER: shop\n'),
        shown=f"SI-103 {AT}: not a YAML map: the quote opened on line 1 is never closed;"
        " docs/annotations.md shows the form of each annotation",
    ),
    Breakage(
        name="unquoted",
        wrong="the reference is not quoted: YAML takes it for a comment",
        annotations=env(f"PASSWORD: {GOOD}\n"),
        shown=f'SI-103 PASSWORD ({AT}): needs a value; write "" for an empty one;'
        ' an unquoted # begins a comment in YAML; write NAME: "#{store:path#field}", in quotes',
    ),
    Breakage(
        name="unquoted-behind-a-word",
        wrong="the same behind a word: `Bearer #{…}`",
        annotations=env(f"PASSWORD: Bearer {GOOD}\n"),
        shown=f"SI-147 PASSWORD ({AT}): an unquoted # begins a comment here, and the reference in"
        " it is lost; an unquoted # begins a comment in YAML;"
        ' write NAME: "#{store:path#field}",...',
    ),
    Breakage(
        name="prefix-typo",
        wrong="the annotation's prefix has a typo",
        others={"secrets-injector.io/env": f'PASSWORD: "{GOOD}"'},
        shown="Validation failed for ValidatingAdmissionPolicy 'secret-injector-typos' with binding"
        " 'secret-injector-typos': the annotation secrets-injector.io/env is not read:"
        " did you mean secret-injector.io/env?",
        starts=True,
    ),
    Breakage(
        name="words-of-others",
        wrong="`${vault:…}`, the words of another injector",
        annotations=env("${vault:secret/shop/db#password}"),
        shown=f'SI-125 {AT} for PASSWORD: holds "${{vault:…}}", which is plain text here;'
        " a reference is #{vault:secret/shop/db#password}; write a reference to have it evaluated;"
        " leave t...",
        starts=True,
    ),
    Breakage(
        name="path-of-others",
        wrong="`vault:secret/data/…#key` without `#{}`",
        annotations=env("vault:secret/data/shop/db#password"),
        shown=f'SI-125 {AT} for PASSWORD: holds "vault:…", which is plain text here;'
        " a reference is #{vault:secret/shop/db#password}; write a reference to have it evaluated;"
        " leave the ...",
        starts=True,
    ),
    Breakage(
        name="native-on-old-node",
        wrong="env-mode native, and a node is too old for it",
        annotations={**env(GOOD), "env-mode": "native"},
        spec={"tolerations": [{"operator": "Exists"}]},
        shown="SI-108 container app: env-mode native does not work: it needs Kubernetes 1.35 or"
        ' newer, and node "old" runs v1.34.2; leave out env-mode native and set command, or use'
        " files",
    ),
    Breakage(
        name="no-command",
        wrong="env-mode launcher, and the container has no command",
        annotations={**env(GOOD), "env-mode": "launcher"},
        container={"command": None},
        shown="SI-108 container app: it has no command, so the launcher has nothing to start;"
        " set command, use files, or leave the container out with secret-injector.io/containers",
    ),
    Breakage(
        name="value-in-args",
        wrong="`$(VAR)` in `args`",
        annotations=env(GOOD),
        container={"args": ["--password=$(PASSWORD)"]},
        shown="SI-107 container app args: $(PASSWORD) would put a secret there;"
        ' where arguments may show it, let a shell read it: sh -c with "$PASSWORD";'
        " else deliver a file and pass its path",
    ),
    Breakage(
        name="container-typo",
        wrong="no such container",
        annotations={**env(GOOD), "containers": "ap"},
        shown='SI-113 annotation secret-injector.io/containers: the pod has no container "ap";'
        ' did you mean "app"?',
    ),
    Breakage(
        name="annotation-typo",
        wrong="no such annotation",
        annotations={"envs": f'PASSWORD: "{GOOD}"'},
        shown='SI-102 annotation secret-injector.io/envs: no such annotation; did you mean "env"?',
    ),
    Breakage(
        name="beside-the-template",
        wrong="the annotation is on the Deployment, and not on its pods",
        beside={"service": "shop"},
        shown="secret-injector: secret-injector.io/service on a Deployment does nothing;"
        " move it to spec.template.metadata.annotations",
        starts=True,
    ),
)

SAID = "(annotation secret-injector.io/env)"
AS_SHOP = 'as role "shop" by kubernetes auth'
READ = '{ capabilities = ["read"] }'

VAULT = (
    Breakage(
        name="vault-wrong-mount",
        wrong="Vault: the mount's name is wrong",
        seen_in=DESCRIBE,
        annotations=env("#{vault:secrets/shop/db#password}"),
        shown=f"SI-403 vault secrets/shop/db#password for PASSWORD {SAID}: no policy lets us into"
        f" this mount, or there is no such mount; {AS_SHOP}",
        hint='is "secrets" the mount\'s name? vault secrets list shows them; else a policy of role'
        f' "shop" needs path "secrets/shop/db" {READ}, or for KV version 2'
        f' path "secrets/data/shop/db" {READ}',
    ),
    Breakage(
        name="vault-data-in-path",
        wrong="Vault, KV version 2: `data/` is written into the path",
        seen_in=DESCRIBE,
        annotations=env("#{vault:secret/data/shop/db#password}"),
        shown=f"SI-403 vault secret/data/shop/db#password for PASSWORD {SAID}: no policy lets us"
        f" read this path; {AS_SHOP}",
        hint="leave out data/: write secret/shop/db",
    ),
    Breakage(
        name="vault-policy-lacks-path",
        wrong="Vault: the policy lacks the path",
        seen_in=DESCRIBE,
        annotations=env("#{vault:secret/other/db#password}"),
        shown=f"SI-403 vault secret/other/db#password for PASSWORD {SAID}: no policy lets us read"
        f" this path; {AS_SHOP}",
        hint=f'a policy of role "shop" needs path "secret/data/other/db" {READ}',
    ),
    Breakage(
        name="vault-account-not-bound",
        wrong="Vault: the role does not bind the ServiceAccount",
        seen_in=DESCRIBE,
        annotations=env("#{vault-sabound:secret/shop/db#password}"),
        shown=f"SI-401 vault-sabound secret/shop/db#password for PASSWORD {SAID}: login refused:"
        ' the role "sabound" does not list ServiceAccount default of namespace shop'
        '; as role "sabound" by kubernetes auth',
        hint="add it to bound_service_account_names of the role, or use a role that lists it",
    ),
    Breakage(
        name="vault-wrong-auth-mount",
        wrong="Vault: no auth method is mounted at the store's `mountPath`",
        seen_in=DESCRIBE,
        annotations=env("#{vault-nowhere:secret/shop/db#password}"),
        shown=f"SI-401 vault-nowhere secret/shop/db#password for PASSWORD {SAID}: login refused:"
        ' nothing is mounted at auth/kubernetes-prod, or the role "shop" does not bind'
        " ServiceAccount default of namespace shop, or Vault could not have the token reviewed"
        f"; {AS_SHOP} at kubernetes-prod",
        hint="vault auth list shows the mounts: compare mountPath and namespace of the store; vault"
        " read auth/kubernetes-prod/role/shop shows whom the role lets in; a review needs"
        " kubernetes_host, system:auth-delegator for the reviewer, and an API server that takes"
        ' audience "https://vault.example"; Vault\'s debug log tells which it is',
    ),
)
"""Answers of Vault; the stores of the last two are those of `vault`, entered otherwise."""

DESCRIBED = (
    *VAULT,
    Breakage(
        name="key-in-the-path",
        wrong="`db.password`: the key is written into the path",
        annotations=env("#{vault:secret/shop/db.password}"),
        seen_in=DESCRIBE,
        shown=f"SI-404 vault secret/shop/db.password for PASSWORD ({AT}): no such secret;"
        ' as role "shop" by kubernetes auth',
        hint="a key is written behind #: secret/shop/db#password",
    ),
    Breakage(
        name="key-typo",
        wrong="the secret has no such key",
        annotations=env("#{vault:secret/shop/db#pasword}"),
        seen_in=DESCRIBE,
        shown=f"SI-404 vault secret/shop/db#pasword for PASSWORD ({AT}): no such key;"
        " keys there: empty, password",
        hint='did you mean "password"?',
    ),
    Breakage(
        name="no-key-in-secret",
        wrong="the Kubernetes Secret is there, and the key is not",
        annotations=env("#{k8s:db#pasword}"),
        seen_in=DESCRIBE,
        shown=f"SI-404 k8s db#pasword for PASSWORD ({AT}): no such Secret in namespace shop, or it"
        " lacks the key",
        hint="kubectl -n shop describe secret db lists its keys",
    ),
    Breakage(
        name="no-secret",
        wrong="there is no such Kubernetes Secret",
        annotations=env("#{k8s:dbs#password}"),
        seen_in=DESCRIBE,
        shown=f"SI-404 k8s dbs#password for PASSWORD ({AT}): no such Secret in namespace shop, or"
        " it lacks the key",
        hint="kubectl -n shop describe secret dbs lists its keys",
    ),
    Breakage(
        name="required-and-empty",
        wrong="`required: true`, and the value is empty",
        annotations=env('PASSWORD: {value: "#{vault:secret/shop/db#empty}", required: true}\n'),
        seen_in=DESCRIBE,
        shown=f"SI-301 vault secret/shop/db#empty for PASSWORD ({AT}): the value is empty",
        hint="store a value, or give the key a default",
    ),
    Breakage(
        name="command-typo",
        wrong="the command is not in the image",
        annotations=env(GOOD),
        container={"command": ["/app/sever"]},
        seen_in=DESCRIBE,
        shown='SI-612 launcher: cannot execute "/app/sever": No such file or directory',
        hint="check the container's command; the interpreter or loader that the file names must"
        " exist too",
    ),
)

ROOMY = {"cpu": "100m", "memory": "64Mi"}

STARTED = (
    Breakage(
        name="quota",
        wrong="a ResourceQuota counts `limits.cpu`",
        annotations=env(GOOD),
        container={"resources": {"requests": ROOMY, "limits": ROOMY}},
        seen_in=NOWHERE,
        starts=True,
    ),
    Breakage(
        name="limit-range",
        wrong="a LimitRange has a least, a most and a ratio",
        annotations=env(GOOD),
        container={"resources": {"requests": ROOMY, "limits": ROOMY}},
        seen_in=NOWHERE,
        starts=True,
    ),
    Breakage(
        name="empty-default",
        wrong='`default("")` with env-mode native, which carries no empty value: left out',
        annotations={
            "env": """PASSWORD: '#{vault:secret/shop/db#none | default("")}'\nUSER: shop\n""",
            "env-mode": "native",
        },
        seen_in=NOWHERE,
        starts=True,
    ),
    Breakage(
        name="pod-level",
        wrong="the pod has resources of its own that are below those of our container",
        annotations=env(GOOD),
        spec={"resources": {"requests": {"cpu": "5m"}, "limits": {"memory": "96Mi"}}},
        seen_in=NOWHERE,
        starts=True,
    ),
)

CASES = (*APPLIED, *DESCRIBED, *STARTED)

CALLS = {
    "webhook-down": ("no replica of the webhook runs", "connection refused"),
    "wrong-ca": (
        "the `caBundle` is not that of the webhook's certificate",
        "x509: certificate signed by unknown authority",
    ),
}
"""What the API server itself says when it cannot ask; docs/troubleshooting.md has the commands."""
FAILED_CALL = 'failed calling webhook "pods.secret-injector.io": '
