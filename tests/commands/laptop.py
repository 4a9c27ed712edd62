"""A project on a laptop: a service, its environment, and a folder of dotenv files."""

import os
import subprocess
import sys

CANARY = "c4n4ry p/w'$x"

SERVICE = """
apiVersion: secret-injector.io/v1alpha1
kind: ServiceSecrets
metadata: {name: checkout, namespace: shop}
spec:
  env:
    DATABASE_URL: "postgres://#{$/DB_USER}:#{vault:secret/shop/db#password | urlencode}@db/shop"
    PASSWORD: "#{vault:secret/shop/db#password}"
    API_KEY: "#{k8s:payment#api-key}"
    LOG_LEVEL: debug
  files:
    tls.key: "#{vault:secret/shop/tls#key}"
---
apiVersion: secret-injector.io/v1alpha1
kind: EnvironmentSecrets
metadata: {name: dev}
spec:
  namespaceSelector: {matchLabels: {stage: dev}}
  env: {DB_USER: app}
---
apiVersion: secret-injector.io/v1alpha1
kind: ClusterSecretStore
metadata: {name: vault}
spec: {vault: {address: "https://vault:8200", auth: {kubernetes: {role: x}}}}
"""
STORE = """---
apiVersion: secret-injector.io/v1alpha1
kind: ClusterSecretStore
metadata: {name: %s}
spec: {dotenv: {folder: dev}}
"""
_DOLLAR = CANARY.replace("$", "\\$")
FILES = {
    "svc.yaml": SERVICE,
    ".secret-injector/stores.yaml": STORE % "vault" + STORE % "k8s",
    ".secret-injector/dev/secret/shop/db.env": f'password="{_DOLLAR}"\n',
    ".secret-injector/dev/secret/shop/tls.env": 'key="a\\nb"\n',
    ".secret-injector/dev/payment.env": "api-key=k-1\n",
}


def make(folder):
    """Write the project's files into the folder."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def run(folder, *argv, env=None, **options):
    """Run the command in the folder and return what it did."""
    return subprocess.run(
        [sys.executable, "-m", "injector", *argv],
        cwd=folder,
        env={**os.environ, **(env or {})},
        check=False,
        **{"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, **options},
    )
