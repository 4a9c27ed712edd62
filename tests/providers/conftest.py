"""The rig under test; every thread and socket of it is gone afterwards."""

import pytest

from tests.providers.rigs import NETWORK, RIGS


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
