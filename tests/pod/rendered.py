"""Plans and rendered containers for the tests of handing over, and a way to read what is there."""

import os
from pathlib import Path

from injector.core.plan import ContainerPlan, EnvItem, FileItem, Plan, PlanValue
from injector.core.render import Rendered
from injector.deliver import Volumes


def given_to(name, env=(), files=()):
    """Return what one container gets."""
    return Rendered(name=name, env=env, files=files)


def plan_of(rendered, *, modes=None, group=None):
    """Return a plan that asks for what is rendered; `modes` maps containers to env modes."""
    values, containers = [], []
    for container in rendered:
        env, files = [], []
        for name, _ in container.env:
            env.append(EnvItem(name=name, value=len(values)))
            values.append(PlanValue(parts=("x",), key=name, origin="annotation env"))
        for path, _, mode in container.files:
            files.append(FileItem(path=path, value=len(values), mode=mode))
            values.append(PlanValue(parts=("x",), key=path, origin="annotation files"))
        mode = (modes or {}).get(container.name, "launcher")
        planned = ContainerPlan(
            name=container.name, env_mode=mode, env=tuple(env), files=tuple(files)
        )
        containers.append(planned)
    return Plan(
        namespace="shop",
        service_account="api",
        values=tuple(values),
        containers=tuple(containers),
        group=group,
    )


def volumes_in(folder):
    """Return volumes below the folder, made if missing, with a launcher to copy."""
    volumes = Volumes(
        volume=folder / "volume", env=folder / "env", launcher=folder / "launcher.bin"
    )
    volumes.volume.mkdir(exist_ok=True)
    volumes.env.mkdir(exist_ok=True)
    volumes.launcher.write_bytes(b"\x7fELF launcher")
    return volumes


def visible(folder):
    """Return what a reader sees below the folder: path → content, through the links."""
    found = {}
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith("..")]
        for name in files:
            path = Path(parent, name)
            if path.exists():
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def everything(folder):
    """Return every entry below the folder, links as links and by their targets."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            is_link = path.is_symlink()
            kind = path.readlink().as_posix() if is_link else "folder" if path.is_dir() else "file"
            found[path.relative_to(folder).as_posix()] = kind
    return found
