"""Secrets as the kubelet mounts them: what is said when one, or a key of it, is not there."""

from injector.core import errors
from injector.core.plan import Read
from injector.core.secret import Failure
from injector.deadline import Deadline
from injector.providers.kubernetes import KubernetesSession

READ = Read(store=0, path="db")


def answer(folder):
    """Return what a read of the Secret `db` gives."""
    session = KubernetesSession([folder], "shop")
    return session.read([READ], Deadline.after(10))[READ]


def test_nothing_there_may_be_the_secret_or_its_key_and_the_hint_tells_them_apart(tmp_path):
    """Inside the pod an absent Secret and an absent key look alike; no value is printed by it."""
    (tmp_path / "db").mkdir()

    assert answer(tmp_path) == Failure(
        code=errors.MISSING,
        what="no such Secret in namespace shop, or it lacks the key",
        hint="kubectl -n shop describe secret db lists its keys",
    )


def test_another_key_that_is_there_shows_that_the_secret_is(tmp_path):
    """Then it is the key that is missing, and `pick` says so with the keys that there are."""
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "user").write_text("shop")

    assert answer(tmp_path).reveal() == {"user": "shop"}
