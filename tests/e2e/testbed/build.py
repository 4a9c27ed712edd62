"""Builds the programs of the cluster from Go modules, once per version, into the cache.

A program is built again when its stamp, `bin/.stamps/<name>`, differs from what this file says.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.testbed import cache, debian
from tests.e2e.testbed.process import run

KUBERNETES = "v1.37.2"
ETCD = "v3.7.3"
CONTAINERD = "v2.4.2"
RUNC = "v1.5.2"
HELM = "v4.3.1"
VAULT = "v1.21.1"

_GO_AT_LEAST = (1, 26)
_BUILD_LIMIT_S = 3600
_BESIDE = {"helm", "vault"}
_VAULT_SOURCES = cache.HERE / "vault"
_SMALL = ("-trimpath", "-ldflags", "-s -w")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One `go` command, and the programs it leaves in the cache.

    `packages` are built in a module of our own in a work folder, which `prepare` writes or which
    is a copy of `sources`; with neither they are installed as `package@version`.
    """

    name: str
    version: str
    packages: tuple[str, ...]
    flags: tuple[str, ...] = _SMALL
    folder: str = ""
    prepare: Callable[[Path], None] | None = None
    sources: Path | None = None
    cgo: bool | None = None
    env: tuple[tuple[str, str], ...] = ()

    @property
    def programs(self) -> tuple[str, ...]:
        """The paths of the programs below `bin`."""
        renamed = {"testvault": "vault", "server": "etcd"}
        return tuple(f"{self.folder}{renamed.get(name, name)}" for name in self.go_names)

    @property
    def go_names(self) -> tuple[str, ...]:
        """The names that go itself gives the programs."""
        paths = (re.sub(r"/v\d+$", "", package) for package in self.packages)
        return tuple(path.rpartition("/")[2] for path in paths)

    @property
    def stamp(self) -> str:
        """What the stamp of an up-to-date program says."""
        files = sorted(self.sources.iterdir()) if self.sources else []
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        return " ".join((*self.packages, self.version, *self.flags, *([digest] if files else [])))


def _prepare_kubernetes(work: Path) -> None:
    """Write a module that maps every staging module to its release, as Kubernetes' own does."""
    told = run("go", "mod", "download", "-json", f"k8s.io/kubernetes@{KUBERNETES}", timeout_s=600)
    go_mod = Path(json.loads(told)["GoMod"]).read_text()
    staging = sorted(set(re.findall(r"^\s*(k8s\.io/[\w-]+) => \./staging", go_mod, re.MULTILINE)))
    release = KUBERNETES.replace("v1.", "v0.")
    lines = ["module testcluster", *re.findall(r"^go .*$", go_mod, re.MULTILINE)[:1]]
    lines += [f"require k8s.io/kubernetes {KUBERNETES}"]
    lines += [f"replace {module} => {module} {release}" for module in staging]
    (work / "go.mod").write_text("\n".join(lines) + "\n")
    _write_imports(work, "k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubelet")


def _prepare_etcd(work: Path) -> None:
    module = "go.etcd.io/etcd/server/v3"
    (work / "go.mod").write_text(f"module testetcd\ngo 1.26.0\nrequire {module} {ETCD}\n")
    _write_imports(work, module)


def _write_imports(work: Path, *packages: str) -> None:
    """Write a file that keeps *packages* in the module's requirements."""
    imports = "\n".join(f'\t_ "{package}"' for package in packages)
    (work / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\nimport (\n{imports}\n)\n")


def _kubernetes_flags() -> tuple[str, ...]:
    major, minor = KUBERNETES.removeprefix("v").split(".")[:2]
    package = "k8s.io/component-base/version"
    version = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor}
    sets = " ".join(f"-X {package}.{name}={value}" for name, value in version.items())
    return ("-trimpath", "-ldflags", f"-s -w {sets}")


# Some of Vault's modules are missing from the checksum database; go.sum pins them instead.
_VAULT_ENV = (("GONOSUMDB", "github.com/hashicorp/*"),)

# Two at a time: while one links or downloads, and keeps one core or none busy, the other compiles.
_LANES: tuple[tuple[Build, ...], ...] = (
    (
        Build(
            name="kubernetes",
            version=KUBERNETES,
            packages=tuple(
                f"k8s.io/kubernetes/cmd/{name}"
                for name in (
                    *("kube-apiserver", "kubelet", "kube-controller-manager"),
                    *("kube-scheduler", "kube-proxy", "kubectl"),
                )
            ),
            flags=_kubernetes_flags(),
            prepare=_prepare_kubernetes,
        ),
        Build(
            name="helm",
            version=HELM,
            packages=("helm.sh/helm/v4/cmd/helm",),
            flags=(),
        ),
    ),
    (
        Build(
            name="etcd",
            version=ETCD,
            packages=("go.etcd.io/etcd/server/v3",),
            prepare=_prepare_etcd,
        ),
        Build(
            name="containerd",
            version=CONTAINERD,
            packages=tuple(
                f"github.com/containerd/containerd/v2/cmd/{name}"
                for name in ("containerd", "containerd-shim-runc-v2", "ctr")
            ),
            flags=(),
        ),
        Build(
            name="runc",
            version=RUNC,
            packages=("github.com/opencontainers/runc",),
            flags=("-tags", "seccomp"),
            cgo=True,
        ),
        Build(
            name="vault",
            version=VAULT,
            packages=("testvault",),
            flags=("-tags", "minimal", *_SMALL),
            sources=_VAULT_SOURCES,
            env=_VAULT_ENV,
        ),
        Build(
            name="vault",
            version=VAULT,
            packages=(
                "github.com/hashicorp/vault/plugins/database/postgresql/postgresql-database-plugin",
            ),
            folder="plugins/",
            sources=_VAULT_SOURCES,
            env=_VAULT_ENV,
        ),
    ),
)


def build_all(say: Say) -> None:
    """Install the missing Debian packages and build the missing programs.

    With KUBECONFIG in the environment only what runs beside an existing cluster is built. Raises
    RuntimeError, which says what to do, when the machine lacks something.
    """
    wanted = _BESIDE if os.environ.get("KUBECONFIG") else None
    if wanted is None:
        debian.install_missing(say)
    missing = [
        [build for build in lane if not is_built(build) and (not wanted or build.name in wanted)]
        for lane in _LANES
    ]
    if any(missing):
        _check_go()
        say("building the cluster's programs; on two cores this takes about 25 minutes, once")
        started = time.monotonic()
        with ThreadPoolExecutor(len(missing)) as pool:
            list(pool.map(lambda lane: _build_in_order(lane, say), missing))
        say(f"all programs built after {time.monotonic() - started:.0f} s")


def is_built(build: Build) -> bool:
    """Whether all programs of a build are there in the wanted version."""
    return all(
        (cache.bin_dir() / program).exists()
        and _stamp(program).exists()
        and _stamp(program).read_text() == build.stamp
        for program in build.programs
    )


def write_stamps(build: Build) -> None:
    """Record that the programs of a build are as this file says."""
    for program in build.programs:
        stamp = _stamp(program)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(build.stamp)


def _build_in_order(lane: list[Build], say: Say) -> None:
    for build in lane:
        _build(build, say)


def _build(build: Build, say: Say) -> None:
    started = time.monotonic()
    output = cache.bin_dir() / build.folder
    output.mkdir(parents=True, exist_ok=True)
    env = {"GOFLAGS": "-mod=mod", **dict(build.env)}
    if build.cgo is not None:
        env["CGO_ENABLED"] = str(int(build.cgo))
    if build.prepare or build.sources:
        work = cache.cache_dir() / "work" / build.name
        draft = work / "bin"
        draft.mkdir(parents=True, exist_ok=True)
        if build.sources:
            shutil.copytree(build.sources, work, dirs_exist_ok=True)
        if build.prepare:
            build.prepare(work)
        command = ("go", "build", *build.flags, "-o", f"{draft}/", *build.packages)
        run(*command, env=env, cwd=work, timeout_s=_BUILD_LIMIT_S)
        for name, program in zip(build.go_names, build.programs, strict=True):
            shutil.move(draft / name, cache.bin_dir() / program)
    else:
        env |= {"GOFLAGS": "", "GOBIN": str(output)}
        wanted = (f"{package}@{build.version}" for package in build.packages)
        run("go", "install", *build.flags, *wanted, env=env, timeout_s=_BUILD_LIMIT_S)
    write_stamps(build)
    names = ", ".join(build.programs)
    say(f"built {names} {build.version} in {time.monotonic() - started:.0f} s")


def _stamp(program: str) -> Path:
    return cache.bin_dir() / ".stamps" / program.replace("/", "_")


def _check_go() -> None:
    told = run("go", "version").decode() if shutil.which("go") else ""
    found = re.search(r"go(\d+)\.(\d+)", told)
    if not found or (int(found[1]), int(found[2])) < _GO_AT_LEAST:
        wanted = ".".join(map(str, _GO_AT_LEAST))
        raise RuntimeError(f"please install Go {wanted} or newer; found: {told or 'none'}")
