"""How much a store may say: a value up to 1 MiB, the answer or file around it up to 8."""

import json

import pytest

from injector.core import errors
from injector.core.pick import pick
from injector.core.secret import MAX_BYTES, MAX_DOCUMENT_BYTES
from tests.providers.aws_rigs import ParameterStoreRig
from tests.providers.fault_proxy import Status
from tests.providers.file_rigs import LocalRig, SopsRig
from tests.providers.rigs import VaultRig


@pytest.fixture
def opened(tmp_path):
    """A function that makes a rig, which is closed at the end."""
    rigs = []

    def make(kind):
        rigs.append(kind(tmp_path))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def test_a_value_that_json_writes_six_times_as_long_arrives_whole(opened):
    """Vault's JSON has six bytes for each < of a page or of XML."""
    rig = opened(VaultRig)
    rig.put("plain", {})
    answer = b'{"data":{"data":{"page":"%s"},"metadata":{"version":1}}}'
    rig.proxy.when = lambda request: "/data/" in request.path
    rig.proxy.faults = [Status(200, body=answer % (rb"\u003c" * MAX_BYTES))]

    (found,) = rig.read("plain")

    assert pick(found, "page").data == b"<" * MAX_BYTES


@pytest.mark.parametrize(
    ("kind", "place", "what"),
    [
        (LocalRig, "store.age", "the file takes 8388609 bytes, the limit is 8388608"),
        (SopsRig, "all.json", "the file (ConfigMap file, key all.json) is larger than 8 MiB"),
    ],
)
def test_a_file_of_more_than_8_mib_is_not_even_opened(opened, kind, place, what):
    """Nothing is decrypted or parsed."""
    rig = opened(kind)
    rig.put("plain", {"a": "b"})
    sealed = (rig.sources / "configmaps/file" / place).read_bytes()
    rig.source(f"configmaps/file/{place}", sealed.ljust(MAX_DOCUMENT_BYTES + 1))

    (answer,) = rig.read("plain")

    assert (answer.code, answer.what) == (errors.BODY, what)


def test_a_tree_of_more_than_8_mib_ends_at_the_page_that_passes_it(opened):
    """Pages are not put together for ever."""
    rig = opened(ParameterStoreRig)
    json_of_aws = (("Content-Type", "application/x-amz-json-1.1"),)
    rig.proxy.when = lambda request: not rig.is_login(request)
    rig.proxy.faults = [
        Status(
            200,
            json_of_aws,
            json.dumps(
                {
                    "Parameters": [{"Name": f"/app/{page}", "Value": "x" * (4 * MAX_BYTES)}],
                    "NextToken": str(page),
                }
            ).encode(),
        )
        for page in range(9)
    ]

    (answer,) = rig.read("/app/*")

    assert (answer.code, answer.what) == (errors.BODY, "the tree is larger than 8 MiB")
    assert len(rig.proxy.faults) == 7
