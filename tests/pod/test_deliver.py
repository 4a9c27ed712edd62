"""Handing over on real folders: what is there afterwards, and what is not after a failure."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from injector.core.errors import DeliveryFailed
from injector.deliver import Delivered, deliver
from tests.pod.rendered import everything, given_to, plan_of, visible, volumes_in

API = given_to(
    "api",
    env=(("PASSWORD", b"correct horse"), ("EMPTY", b"")),
    files=(("tls/key", b"\0\xff", 0o600), ("tls/cert", b"cert", None), ("token", b"t\n", None)),
)
WEB = given_to("web", env=(("PASSWORD", b"battery"),))
LAUNCHER = b"\x7fELF launcher"


@pytest.fixture
def volumes(tmp_path):
    """Two empty volumes and a launcher."""
    return volumes_in(tmp_path)


def send(rendered, volumes, **options):
    """Deliver what is rendered under the plan that asks for it."""
    return deliver(plan_of(rendered, **options), rendered, volumes)


def mode_of(path):
    """Return the permission bits of what the path leads to."""
    return path.stat().st_mode & 0o7777


class TestSuccess:
    """A complete delivery."""

    def test_every_container_gets_its_variables_and_files(self, volumes):
        """Both ways of env and files, each in its place, byte for byte."""
        done = send([API, WEB], volumes, modes={"web": "native"})

        assert visible(volumes.volume) == {
            "api/launch/launcher": LAUNCHER,
            "api/launch/env": b"SIENV1 2 30\nPASSWORD=correct horse\0EMPTY=\0",
            "api/files/tls/key": b"\0\xff",
            "api/files/tls/cert": b"cert",
            "api/files/token": b"t\n",
        }
        assert visible(volumes.env) == {"web/PASSWORD": b"PASSWORD='battery'\n"}
        assert done == Delivered(variables=3, files=3, bytes=len(LAUNCHER) + 42 + 8 + 19)

    def test_the_real_launcher_starts_a_command_with_the_variables(self, volumes, tmp_path):
        """The file we write is the file it reads."""
        built = Path("build/launcher")
        if not built.exists():
            pytest.skip("make launcher has not run")
        volumes.launcher.write_bytes(built.read_bytes())
        send([API], volumes)

        launch = volumes.volume / "api/launch"
        argv = [launch / "launcher", launch / "env", "--", "/usr/bin/env", "-0"]
        found = subprocess.run(argv, env={}, capture_output=True, check=True).stdout

        assert found == b"PASSWORD=correct horse\0EMPTY=\0"

    def test_only_the_owner_reads_when_there_is_no_group(self, volumes):
        """0400 in 0700, an explicit mode as it is written, the binary 0555; umask or not."""
        before = os.umask(0o077)
        try:
            send([API], volumes)
        finally:
            os.umask(before)

        root = volumes.volume / "api"
        assert mode_of(root / "launch") == 0o700
        assert mode_of(root / "launch/..data") == 0o700
        assert mode_of(root / "launch/launcher") == 0o555
        assert mode_of(root / "launch/env") == 0o400
        assert mode_of(root / "files/tls") == 0o700
        assert mode_of(root / "files/tls/key") == 0o600
        assert mode_of(root / "files/tls/cert") == 0o400

    def test_the_group_of_the_plan_reads(self, volumes):
        """0440 in 0750, all of that group."""
        group = os.getgid() if os.getuid() else 65532
        send([API], volumes, group=group)

        root = volumes.volume / "api"
        for path in (root / "launch/env", root / "files/token", root / "files/tls/cert"):
            assert (mode_of(path), path.stat().st_gid) == (0o440, group)
        for path in (root, root / "files", root / "files/tls"):
            assert (mode_of(path), path.stat().st_gid) == (0o750, group)

    def test_a_second_run_replaces_the_first(self, volumes):
        """Only the new set is there, without a trace of the old one."""
        send([API], volumes)
        changed = given_to("api", env=(("PASSWORD", b"new"),), files=(("other", b"o", None),))
        send([changed], volumes)

        assert visible(volumes.volume) == {
            "api/launch/launcher": LAUNCHER,
            "api/launch/env": b"SIENV1 1 13\nPASSWORD=new\0",
            "api/files/other": b"o",
        }
        stamps = [name for name in everything(volumes.volume) if "/..1" in name]
        assert len([name for name in stamps if name.count("/") == 2]) == 2

    def test_a_file_becomes_a_folder_and_back(self, volumes):
        """Names may change what they are between two runs."""
        send([given_to("api", files=(("x", b"file", None),))], volumes)
        send([given_to("api", files=(("x/y", b"deep", None),))], volumes)
        assert visible(volumes.volume) == {"api/files/x/y": b"deep"}

        send([given_to("api", files=(("x", b"file", None),))], volumes)
        assert visible(volumes.volume) == {"api/files/x": b"file"}

    def test_folders_that_the_kubelet_made_are_used(self, volumes):
        """A mount of a folder that is not there yet makes it, open to all."""
        folder = volumes.volume / "api/launch"
        folder.mkdir(parents=True)
        folder.chmod(0o1777)

        send([WEB, given_to("api", env=(("A", b"1"),))], volumes)

        assert (folder / "env").read_bytes() == b"SIENV1 1 4\nA=1\0"


class TestRefusal:
    """Everything else: coded, and nothing is there that was not there before."""

    def refuse(self, rendered, volumes, **options):
        """Deliver, expect the refusal, and return its lines."""
        before = everything(volumes.volume), everything(volumes.env)
        with pytest.raises(DeliveryFailed) as caught:
            send(rendered, volumes, **options)
        assert (everything(volumes.volume), everything(volumes.env)) == before
        return [problem.line() for problem in caught.value.problems]

    def test_one_value_that_is_not_carriable_keeps_all_back(self, volumes):
        """No container gets anything."""
        quoted = given_to("web", env=(("PASSWORD", b"it's"),))

        lines = self.refuse([API, quoted], volumes, modes={"web": "native"})

        assert lines == [
            (
                "SI-602 for PASSWORD in web (annotation env): the value holds a single"
                " quote, for which an env file has no spelling"
            )
        ]

    def test_a_file_size_limit_is_reported_with_the_bytes_needed(self, volumes):
        """EFBIG in the middle of the second container undoes the first one."""
        big = given_to("big", files=(("f", b"x" * 100_000, None),))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            lines = self.refuse([WEB, big], volumes)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

        need = 100_000 + len(LAUNCHER) + len(b"SIENV1 1 17\nPASSWORD=battery\0")
        assert lines == [f"SI-601 volume secret-injector: {need} bytes are needed: file too large"]

    @pytest.mark.parametrize("place", ["web", "web/launch", "web/launch/env", "web/launch/..data"])
    def test_a_planted_link_is_refused(self, volumes, tmp_path, place):
        """It is not followed, wherever on the way it stands."""
        outside = tmp_path / "outside"
        outside.mkdir()
        planted = volumes.volume / place
        planted.parent.mkdir(parents=True, exist_ok=True)
        planted.symlink_to(outside)

        lines = self.refuse([API, WEB], volumes)

        assert len(lines) == 1
        assert lines[0].startswith("SI-601 volume secret-injector: ")
        assert "nothing else may write there" in lines[0]
        assert list(outside.iterdir()) == []

    def test_a_planted_file_is_refused(self, volumes):
        """What we did not write is not overwritten."""
        planted = volumes.volume / "web/launch/env"
        planted.parent.mkdir(parents=True)
        planted.write_text("planted")

        lines = self.refuse([WEB], volumes)

        assert lines == [
            "SI-601 volume secret-injector: env is not a link of ours; nothing else may write there"
        ]

    def test_a_missing_launcher_is_our_own_fault(self, volumes):
        """The image is broken, and says so."""
        volumes.launcher.unlink()

        lines = self.refuse([WEB], volumes)

        assert lines == [
            f"SI-500 {volumes.launcher}: the launcher cannot be read: No such file or directory"
        ]

    def test_a_missing_volume_is_refused(self, volumes):
        """The message names the mount point."""
        volumes.env.rmdir()

        lines = self.refuse([API, WEB], volumes, modes={"web": "native"})

        assert lines == [f"SI-601 volume secret-injector: {volumes.env}: no such file or directory"]

    def test_a_failed_second_run_leaves_the_first_as_it_was(self, volumes):
        """The old set stays whole."""
        send([API, WEB], volumes)
        new = given_to("api", env=(("PASSWORD", b"a\0b"),))

        self.refuse([new], volumes)

        assert visible(volumes.volume)["web/launch/env"] == b"SIENV1 1 17\nPASSWORD=battery\0"


SMALL_TMPFS = """
import subprocess, sys
from pathlib import Path
root = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", sys.argv[2], "tmpfs", root / "volume"], check=True)
from injector.core.errors import DeliveryFailed
from injector.deliver import deliver
from tests.pod.rendered import everything, given_to, plan_of, volumes_in
volumes = volumes_in(root)
rendered = [given_to("a", files=tuple((f"f{i}", b"x" * 5000, None) for i in range(20)))]
try:
    deliver(plan_of(rendered), rendered, volumes)
except DeliveryFailed as failure:
    print(failure)
print(sorted(everything(volumes.volume)))
"""


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("size=96k", "SI-601 volume secret-injector: 163840 bytes are needed, 98304 are free"),
        (
            "size=1m,nr_inodes=12",
            "SI-601 volume secret-injector: 100000 bytes are needed: no space left on device",
        ),
    ],
)
def test_a_full_memory_volume_takes_nothing(tmp_path, options, line):
    """A real tmpfs without enough blocks or inodes: the coded line, and nothing half-written."""
    (tmp_path / "volume").mkdir()
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no user namespaces")

    argv = [*unshare, sys.executable, "-c", SMALL_TMPFS, tmp_path, options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert (done.stdout.splitlines(), done.stderr) == ([line, "[]"], "")
