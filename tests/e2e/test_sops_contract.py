"""The contract of `tests/providers` on files that the real sops wrote, not our writer of tests."""

import pytest

pytest.register_assert_rewrite("tests.providers.test_contract")

from tests.e2e.sops_rig import RealSopsRig  # noqa: E402 (after the rewrite is registered)
from tests.providers.test_contract import *  # noqa: E402, F403 (the suite is what we run)


@pytest.fixture
def rig(tmp_path):
    """Takes the place of the suite's fixture."""
    return RealSopsRig(tmp_path)
