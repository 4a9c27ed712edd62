"""What the suites of failures share: the secret that is there, and a look at what is told."""

from injector.core.secret import Failure

FINE = {"user": "shop"}


def failed(answer):
    """The failure, after a look that nothing foreign is in it."""
    assert isinstance(answer, Failure)
    assert "CANARY" not in repr(answer)
    return answer
