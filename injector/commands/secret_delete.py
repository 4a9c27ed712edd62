"""`secret delete`: refused while files still refer to what would go."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

import click

from injector.commands import stores_here
from injector.commands.calling import is_interactive, refused, tell
from injector.commands.secret_lookup import picked, there
from injector.core import errors
from injector.core.errors import Problem, Refused
from injector.writers import Data

REFERENCES = "webhook.commands.references:to_secret"


@click.command("delete")
@stores_here.options
@click.argument("name")
@click.argument("key", required=False)
@click.option(
    "-f",
    "--filename",
    "filenames",
    multiple=True,
    metavar="FILE|DIR",
    help="Services and workloads that must not refer to it.",
)
@click.option("--force", is_flag=True, help="Delete it whoever refers to it, and do not ask.")
def command(
    name: str,
    key: str | None,
    filenames: tuple[str, ...],
    *,
    force: bool,
    store: str | None,
    stores_file: str | None,
) -> int:
    """Delete a secret with all its versions, or one key of it in a new version."""
    what = f"{name} {key}" if key else name
    with stores_here.entered(store, stores_file) as writer:
        found = there(writer.read(name), name, writer.names)
        if key is not None:
            picked(found, name, key)
        if not force:
            _refuse_used(filenames, store, name, key)
            if not filenames and not is_interactive():
                hint = "-f DIR has the references checked, --force leaves it at that"
                raise refused(f"nobody is there to confirm that {what} goes", hint=hint)
            if not filenames:
                click.confirm(f"delete {what}?", abort=True, err=True)
        writer.change(name, _without(key))
    tell(f"{what} is deleted")
    return errors.OK


def _without(key: str | None) -> Callable[[Data | None], Data | None]:
    def change(old: Data | None) -> Data | None:
        kept = {each: value for each, value in (old or {}).items() if each != key}
        return kept if key is not None and kept else None

    return change


def _refuse_used(filenames: Sequence[str], store: str | None, name: str, key: str | None) -> None:
    """Raise Refused with everything in the files that refers to the secret."""
    if not filenames:
        return
    module, _, function = REFERENCES.partition(":")
    users = getattr(importlib.import_module(module), function)(filenames, store, name, key)
    if users:
        what = f"it is still referred to by {'; '.join(users)}"
        source = f"{name}#{key}" if key else name
        raise Refused([Problem(code=errors.IN_USE, what=what, source=source)])
