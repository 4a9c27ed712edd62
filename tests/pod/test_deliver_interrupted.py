"""Handing over, cut short at every step: the old set, the new set or nothing, never a mix.

Each case is a forked child whose steps are counted: by an audit hook, which Python calls before a
system call, or by a trace, which it calls before a line. At the chosen step the child is killed, or
an error is raised there.
"""

import errno
import os
import shutil
import signal
import sys

import pytest

from injector.core.errors import DeliveryFailed
from injector.deliver import Volumes, deliver
from tests.pod.rendered import everything, given_to, plan_of, visible, volumes_in

OLD = [
    given_to("api", env=(("A", b"old"),), files=(("gone", b"old", None), ("d/x", b"old", None))),
    given_to("web", env=(("B", b"old"), ("GONE", b"old"))),
]
NEW = [
    given_to("api", env=(("A", b"new"),), files=(("come", b"new", None), ("d/x", b"new", None))),
    given_to("web", env=(("B", b"new"), ("COME", b"new"))),
]
FOLDERS = ("volume/api/launch", "volume/api/files", "env/web")

DELIVERED, REFUSED, STOPPED, UNTOUCHED = 10, 11, 12, 13
"""How a child that was not killed says what happened; untouched: it has no such step."""


def hand_over(rendered, root):
    """Deliver into the volumes below the root."""
    volumes = Volumes(volume=root / "volume", env=root / "env", launcher=root / "launcher.bin")
    deliver(plan_of(rendered, modes={"web": "native"}), rendered, volumes)


class Step:
    """The chosen step: counts down, acts at zero."""

    def __init__(self, act, at):
        self.act, self.left = act, at

    def count(self):
        self.left -= 1
        if self.left == 0:
            self.act()


def count_system_calls(step):
    """Count before each system call on files."""
    sys.addaudithook(
        lambda event, _: step.count() if event == "open" or event.startswith("os.") else None
    )


def count_lines(step):
    """Count before each line of the modules under test."""

    def trace(frame, event, _):
        if frame.f_code.co_filename.endswith(("injector/deliver.py", "injector/publish.py")):
            if event == "line":
                step.count()
            return trace if step.left > 0 else None
        return None

    sys.settrace(trace)


def in_child(root, count, act, at):
    """Hand the new set over in a child that meets `act` at the chosen step; return its end."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 99
    step = Step(act, at)
    try:
        count(step)
        hand_over(NEW, root)
        status = UNTOUCHED if step.left > 0 else DELIVERED
    except DeliveryFailed:
        status = REFUSED
    except SystemExit:
        status = STOPPED
    finally:
        os._exit(status)


def die():
    """End as a container does whose time is up."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill():
    """Fail as a full volume does."""
    raise OSError(errno.ENOSPC, "full")


def stop():
    """Stop as the handler of SIGTERM does."""
    raise SystemExit(143)


def sets(root):
    """Return what a reader sees in each folder."""
    return [visible(root / folder) for folder in FOLDERS]


@pytest.fixture
def seen(tmp_path):
    """What readers see of nothing, of the old set and of the new one."""
    found = []
    for number, rendered in enumerate(([], OLD, NEW)):
        root = tmp_path / f"model{number}"
        root.mkdir()
        volumes_in(root)
        hand_over(rendered, root)
        found.append(sets(root))
    return found


def begin(tmp_path, old):
    """Return fresh volumes with the old set in them."""
    root = tmp_path / "case"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    volumes_in(root)
    hand_over(old, root)
    return root


@pytest.mark.parametrize("old", [[], OLD], ids=["into-nothing", "over-old"])
def test_killed_at_any_system_call_each_folder_is_old_or_new(tmp_path, seen, old):
    """And the next run delivers, and leaves nothing of the killed one behind."""
    before, after = seen[bool(old)], seen[2]
    at, ends = 0, []
    while UNTOUCHED not in ends:
        at += 1
        root = begin(tmp_path, old)
        ends.append(in_child(root, count_system_calls, die, at))

        for folder, was, becomes in zip(sets(root), before, after, strict=True):
            assert folder in (was, becomes), f"a mix at system call {at}"
        hand_over(NEW, root)
        assert sets(root) == after
        entries = everything(root)
        assert len([name for name in entries if name.rpartition("/")[2].startswith("..1")]) == 3
        assert "..data_new" not in "".join(entries)
    assert set(ends[:-1]) == {-signal.SIGKILL}
    assert at > 50


@pytest.mark.parametrize("old", [[], OLD], ids=["into-nothing", "over-old"])
@pytest.mark.parametrize(
    ("count", "act", "failure"),
    [(count_system_calls, fill, REFUSED), (count_lines, stop, STOPPED)],
    ids=["a full volume", "SIGTERM"],
)
def test_interrupted_anywhere_all_folders_are_old_or_all_are_new(
    tmp_path, seen, old, count, act, failure
):
    """An error leaves exactly what was there; after the last rename it changes nothing any more."""
    before, after = seen[bool(old)], seen[2]
    at, ends = 0, []
    stride = 5 if count is count_lines else 1
    root = begin(tmp_path, old)
    entries = everything(root).keys()
    while UNTOUCHED not in ends:
        at += stride
        ends.append(in_child(root, count, act, at))

        if sets(root) == after:
            root = begin(tmp_path, old)
            entries = everything(root).keys()
            continue
        assert ends[-1] == failure
        assert sets(root) == before, f"a mix at step {at}"
        assert everything(root).keys() == entries, f"something is left at step {at}"
    assert failure in ends
    assert at > 50
