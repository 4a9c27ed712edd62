"""Start-up is a feature: a fetch loads the library of the store it asks, and no other's."""

import json
import subprocess
import sys

import pytest

HEAVY = ("aiobotocore", "aiohttp", "asyncio", "botocore", "hvac", "kubernetes_asyncio", "pyrage")
_AUTH = {"webIdentity": {"roleArn": "arn:aws:iam::123456789012:role/x"}}
_AWS = {"region": "eu-central-1", "endpoint": "http://127.0.0.1:9", "auth": _AUTH}
STORES = {
    "vault": (
        {"vault": {"address": "http://127.0.0.1:9", "auth": {"kubernetes": {"role": "x"}}}},
        "kv/x",
    ),
    "local": (
        {
            "local": {
                "file": {"configMapRef": {"name": "a", "key": "b"}},
                "identity": {"secretRef": {"name": "a", "key": "b"}},
            }
        },
        "x",
    ),
    "sops": (
        {
            "sops": {
                "file": {"configMapRef": {"name": "a", "key": "b.yaml"}},
                "identity": {"secretRef": {"name": "a", "key": "b"}},
            }
        },
        "x",
    ),
    "k8s": ({"k8s": {}}, "x"),
    "awsSecretsManager": ({"awsSecretsManager": _AWS}, "x"),
    "awsParameterStore": ({"awsParameterStore": _AWS}, "/x"),
}
ALLOWED = {
    "vault": {"hvac"},
    "local": {"pyrage"},
    "sops": {"pyrage"},
    "k8s": set(),
    "awsSecretsManager": {"aiobotocore", "aiohttp", "asyncio", "botocore"},
    "awsParameterStore": {"aiobotocore", "aiohttp", "asyncio", "botocore"},
}

_FETCH = """
import json, sys
from pathlib import Path
from injector import fetch
from injector.core import plan, stores
from injector.deadline import Deadline
document, path, folder = json.loads(sys.argv[1])
found = fetch.fetch(
    plan.Plan(
        namespace="shop",
        service_account="checkout",
        stores=(plan.PlanStore(name="store", document=stores.canonical(document)),),
        reads=(plan.Read(store=0, path=path),),
    ),
    Path(folder),
    Deadline.after(20),
)
assert len(found.answers) == 1
assert not [name for name in sys.modules if name.startswith("injector.writers")]
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("name", STORES)
def test_a_fetch_loads_no_other_stores_library(name, tmp_path):
    """Without its credential, a store is entered as far as its own code goes; no writer is."""
    document, path = STORES[name]
    arguments = json.dumps([document, path, str(tmp_path)])

    run = subprocess.run(
        [sys.executable, "-c", _FETCH, arguments], capture_output=True, text=True, check=True
    )

    loaded = set(json.loads(run.stdout)) & set(HEAVY)
    assert loaded <= ALLOWED[name]
    assert "botocore" in loaded or not name.startswith("aws")
