"""The rig under test; every thread and socket of it is gone afterwards."""

import pytest

from tests.providers.aws_rigs import ParameterStoreRig, SecretsManagerRig
from tests.providers.cloud_rigs import AzureRig, GcpRig
from tests.providers.file_rigs import (
    DotenvFileRig,
    DotenvFolderRig,
    EnvironmentRig,
    KubernetesRig,
    LocalInImageRig,
    LocalRig,
    SopsInImageRig,
    SopsRig,
)
from tests.providers.rigs import VaultRig

_REMOTE = (VaultRig, SecretsManagerRig, ParameterStoreRig, AzureRig, GcpRig)
NETWORK = {rig.name: rig for rig in _REMOTE}
_HERE = (
    *(LocalRig, LocalInImageRig, SopsRig, SopsInImageRig, KubernetesRig),
    *(DotenvFolderRig, DotenvFileRig, EnvironmentRig),
)
RIGS = {**NETWORK, **{rig.name: rig for rig in _HERE}}


@pytest.fixture(params=RIGS)
def rig(request, tmp_path):
    """Each store in turn."""
    made = RIGS[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture(params=NETWORK)
def remote(request, tmp_path):
    """Each store behind a network in turn; its `proxy` takes faults."""
    made = RIGS[request.param](tmp_path)
    yield made
    made.close()
