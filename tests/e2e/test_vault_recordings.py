"""The recordings that tests of the error tables rest on are what a real Vault answers today."""

import pytest

from tests.e2e.vault_states import record
from tests.providers.recorded import recordings


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Every bad state, made on a server."""
    return record(tmp_path_factory.mktemp("states"))


def test_every_recording_is_what_the_server_answers(found):
    """`python -m tests.e2e.vault_states` writes them anew after an upgrade of the server."""
    assert found == recordings("vault")


def test_nothing_of_a_recording_is_a_credential(found):
    """Answers of success are kept without what they gave."""
    text = repr(found)

    assert "hvs." not in text
    assert "client_token" not in text
