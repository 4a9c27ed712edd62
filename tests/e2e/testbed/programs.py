"""The programs of the cluster: which versions of which Go modules, and how each is built."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.testbed import cache
from tests.e2e.testbed.process import run

KUBERNETES = "v1.37.2"
ETCD = "v3.7.3"
CONTAINERD = "v2.4.2"
RUNC = "v1.5.2"
HELM = "v4.3.1"
VAULT = "v1.21.1"
SOPS = "v3.13.3"

_VAULT_SOURCES = cache.HERE / "vault"
_SMALL = ("-trimpath", "-ldflags", "-s -w")


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
LANES: tuple[tuple[Build, ...], ...] = (
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
        Build(
            name="sops",
            version=SOPS,
            packages=("github.com/getsops/sops/v3/cmd/sops",),
        ),
    ),
)
