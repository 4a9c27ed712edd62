"""What really is in a running container, read from the node and without the container's help."""

from __future__ import annotations

from dataclasses import dataclass

from tests.e2e.scenarios import pods
from tests.e2e.testbed.local import LocalCluster
from tests.e2e.testbed.process import until

_FROM_RUNTIME = {b"PATH", b"HOSTNAME", b"HOME"}
_FROM_KUBELET = b"KUBERNETES_"
_LAUNCHER = b"/run/secret-injector/launcher"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A regular file: permission bits, owner and group by number, and all of its content."""

    mode: int
    user: int
    group: int
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The containers of one running pod."""

    cluster: LocalCluster
    pod: str
    namespace: str

    def environ(self, container: str = "app") -> dict[bytes, bytes]:
        """Return all variables of the first process but those that every container has.

        Of the program, that is, which the launcher becomes in a moment.
        """
        until(
            lambda: self.argv(container)[:1] != [_LAUNCHER],
            what=f"container {container} runs its program",
            timeout_s=20,
        )
        everything = self.cluster.container_environ(self.pod, container, self.namespace)
        return {
            name: value
            for name, value in everything.items()
            if name not in _FROM_RUNTIME and not name.startswith(_FROM_KUBELET)
        }

    def argv(self, container: str = "app") -> list[bytes]:
        """Return the command line of the first process."""
        line = self.cluster.space.run("cat", f"{self._proc(container)}/cmdline")
        return line.split(b"\0")[:-1]

    def status(self, container: str = "app") -> dict[str, list[str]]:
        """Return the words of each line of the first process's `/proc/PID/status`."""
        text = self.cluster.space.run("cat", f"{self._proc(container)}/status").decode()
        lines = (line.partition(":") for line in text.splitlines())
        return {name: value.split() for name, _, value in lines}

    def files(self, path: str = pods.FILES, container: str = "app") -> dict[str, File]:
        """Return the files of a delivered folder: what stands behind its `..data`, by path."""
        top = f"{self._proc(container)}/root{path}/..data/"
        listed = self._find(top, "-type", "f", form=r"%P\t%m\t%U\t%G\n")
        found = {}
        for line in listed:
            name, mode, user, group = line.split("\t")
            content = self.cluster.space.run("cat", f"{top}{name}")
            found[name] = File(mode=int(mode, 8), user=int(user), group=int(group), content=content)
        return found

    def names(self, path: str, container: str = "app") -> set[str]:
        """Return the names in a folder; those that begin with two dots only make it atomic."""
        top = f"{self._proc(container)}/root{path}/"
        depth = ("-mindepth", "1", "-maxdepth", "1", "!", "-name", "..*")
        return set(self._find(top, *depth, form=r"%P\n"))

    def folder_modes(self, path: str, container: str = "app") -> set[int]:
        """Return the permission bits of a folder and of all folders below it."""
        top = f"{self._proc(container)}/root{path}/"
        return {int(mode, 8) for mode in self._find(top, "-type", "d", form=r"%m\n")}

    def mounts(self, container: str = "app") -> dict[str, str]:
        """Return where our volumes are mounted and with which options: path to `ro` or `rw`.

        A mount of ours is one whose root, on the node, lies in a volume of our name.
        """
        text = self.cluster.space.run("cat", f"{self._proc(container)}/mountinfo").decode()
        lines = [line.split() for line in text.splitlines()]
        tmpfs = self._volumes()
        return {line[4]: line[5].split(",")[0] for line in lines if line[2] in tmpfs}

    def _volumes(self) -> set[str]:
        """Return the device numbers of this pod's volumes of ours, as the node mounted them."""
        uid = self.cluster.get("Pod", self.pod, self.namespace)["metadata"]["uid"]
        text = self.cluster.space.run("cat", "/proc/self/mountinfo").decode()
        lines = [line.split() for line in text.splitlines()]
        return {
            line[2]
            for line in lines
            if f"/pods/{uid}/volumes/" in line[4]
            and line[4].rpartition("/")[2].startswith(pods.OURS)
        }

    def _find(self, top: str, *tests: str, form: str) -> list[str]:
        return self.cluster.space.run("find", top, *tests, "-printf", form).decode().splitlines()

    def _proc(self, container: str) -> str:
        return f"/proc/{self.cluster.container_pid(self.pod, container, self.namespace)}"
