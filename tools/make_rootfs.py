"""Lays out the root folder of the image: an interpreter, its libraries, our dependencies.

Runs inside the build stage with the interpreter that the image will have, and only needs the
standard library: `python make_rootfs.py SITE ROOT`, where SITE is what `pip install --target` made.
There is no shell, no package manager and no libc beyond what the interpreter links.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

UNUSED = (
    *("_ctypes_test*", "_curses*", "_dbm*", "_gdbm*", "_pyrepl", "_remote_debugging*"),
    *("_sqlite3*", "_test*", "_tkinter*", "_xx*", "config-*", "curses", "dbm", "ensurepip"),
    *("idlelib", "profiling", "pydoc_data", "readline*", "site-packages", "sitecustomize.py"),
    *("sqlite3", "test", "tkinter", "turtle.py", "turtledemo", "unittest", "venv"),
    *("xmlrpc", "xx*"),
)
"""Parts of the standard library that nothing of ours imports; many need libraries of their own."""

AWS_SERVICES = {"kms", "secretsmanager", "sso", "sso-oidc", "ssm", "sts"}
"""The services whose descriptions botocore keeps; it has those of some 400."""

SITE = "/usr/lib/secret-injector/site"
"""Where the dependencies go, as tools/start.py has it."""

TRUST = ("/etc/ssl", "/usr/lib/ssl", "/usr/share/ca-certificates")
"""Where OpenSSL looks for certificate authorities, and what the links there point to."""

USERS = "root:x:0:0:root:/:/nonexistent\nnonroot:x:65532:65532:nonroot:/:/nonexistent\n"
GROUPS = "root:x:0:\nnonroot:x:65532:\n"


def copy_python(root: Path) -> None:
    """Copy the interpreter and its standard library; tell it where code is, for `python -m`."""
    executable = Path(sys.executable).resolve()
    copy(executable, root)
    link = root / "usr/bin/python"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(executable, "/usr/bin"))
    library = Path(sysconfig.get_path("stdlib"))
    ignore = shutil.ignore_patterns("__pycache__", *UNUSED)
    shutil.copytree(library, below(root, library), symlinks=True, ignore=ignore)
    # The first folder that the interpreter itself looks into, whatever the distribution names it.
    script = "import site; print(site.getsitepackages()[0])"
    command = (executable, "-I", "-c", script)
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    folder = below(root, Path(found))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "secret-injector.pth").write_text(f"/app\n{SITE}\n")


def copy_site(source: Path, target: Path) -> None:
    """Copy the dependencies without what only developers and other AWS services need."""
    useless = ("__pycache__", "bin", "tests", "*.c", "*.md", "*.pxd", "*.pyi", "*.pyx")
    ignore = shutil.ignore_patterns(*useless)
    shutil.copytree(source, target, symlinks=True, ignore=ignore, dirs_exist_ok=True)
    data = target / "botocore/data"
    for folder in data.iterdir() if data.exists() else ():
        if folder.is_dir() and folder.name not in AWS_SERVICES:
            shutil.rmtree(folder)


def copy_libraries(root: Path) -> None:
    """Copy every shared library that a copied binary links, and the loader itself."""
    links = [Path("/", name) for name in ("lib", "lib64") if Path("/", name).is_symlink()]
    for link in links:
        below(root, link).symlink_to(link.readlink())
    files = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    binaries = [path for path in files if is_elf(path)]
    subprocess.run(["strip", "--strip-debug", *binaries], check=True)  # noqa: S607 - as below
    for library in sorted(linked(binaries)):
        copy(library, root)
    for configuration in (Path("/etc/ld.so.conf"), *sorted(Path("/etc/ld.so.conf.d").glob("*"))):
        copy(configuration, root)
    subprocess.run(["ldconfig", "-r", root], check=True)  # noqa: S607 - of the build stage
    shutil.rmtree(root / "var", ignore_errors=True)


def copy_trust(root: Path) -> None:
    """Copy the certificate authorities as links by hash, of which OpenSSL reads those it needs.

    Without the one file of all of them as its default, a TLS context costs no start-up time.
    """
    for folder in map(Path, TRUST):
        if folder.exists():
            ignore = shutil.ignore_patterns("private", "*.cnf*", "misc", "engines*", "cert.pem")
            shutil.copytree(folder, below(root, folder), symlinks=True, ignore=ignore)


def linked(binaries: Iterable[Path]) -> set[Path]:
    """Return the libraries that the loader of this machine finds for *binaries*."""
    told = subprocess.run(["ldd", *binaries], check=False, capture_output=True, text=True)  # noqa: S607
    if missing := re.findall(r"(\S+) => not found", told.stdout):
        sys.exit(f"make_rootfs: no file for {', '.join(sorted(set(missing)))}")
    return {
        Path(name) for name in re.findall(r"(?:=>\s+|^\t)(/\S+) \(0x", told.stdout, re.MULTILINE)
    }


def is_elf(path: Path) -> bool:
    """Whether *path* is a program or library."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def copy(source: Path, root: Path) -> None:
    """Copy a file to the same place below *root*, with links in its folders resolved."""
    target = below(root, source.parent.resolve() / source.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    shutil.copymode(source, target)


def below(root: Path, path: Path) -> Path:
    """Return where the absolute *path* is in the image."""
    return root / path.relative_to("/")


def compile_all(root: Path) -> None:
    """Write the bytecode of every module; at run time the sources are not even looked at."""
    command = (
        sys.executable,
        "-m",
        "compileall",
        "-q",
        "-j0",
        "--invalidation-mode=unchecked-hash",
    )
    subprocess.run([*command, "-s", root, "-p", "/", root], check=True)


def hide(root: Path) -> None:
    """Let the interpreter be executed and not read: then no process of it can be looked into.

    `injector/privacy.py` says how; it does the same for an interpreter that can be read.
    """
    (root / "usr/bin/python").resolve().chmod(0o111)


def main(site: Path, root: Path) -> None:
    """Fill *root*."""
    copy_python(root)
    copy_site(site, below(root, Path(SITE)))
    copy_libraries(root)
    copy_trust(root)
    (root / "etc/passwd").write_text(USERS)
    (root / "etc/group").write_text(GROUPS)
    compile_all(root)
    hide(root)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
