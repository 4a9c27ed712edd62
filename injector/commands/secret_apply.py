"""`secret apply`: make a store hold what a file says: create, update, and prune if asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from injector.commands import stores_here
from injector.commands.calling import refused, tell
from injector.commands.stores_here import Place
from injector.core import errors, generate, reference, secret_object
from injector.core.errors import Problem, Refused
from injector.core.fields import Fields
from injector.core.record import Record, hidden
from injector.core.secret import text_or_bytes
from injector.writers import Data, Writer


class Inline(Record):
    """One key as the file gives it: a value, or the rule by which a missing one is made."""

    value: str | bytes | None = hidden()
    rule: str | None


Wanted = Mapping[str, Mapping[str, Inline]]


@click.command("apply")
@stores_here.options
@click.option("-f", "--filename", required=True, metavar="FILE|-", help="The secrets.")
@click.option("--dry-run", is_flag=True, help="Only show what would change, without values.")
@click.option(
    "--prune", metavar="PREFIX", help="Delete secrets below PREFIX that the file does not hold."
)
def command(
    filename: str,
    prune: str | None,
    *,
    dry_run: bool,
    at: Place,
) -> int:
    """Make the store hold the secrets of a file; what is equal is not written again.

    The file is YAML: secrets: {NAME: {KEY: text | {file: PATH} | {generate: RULE}}}. A generated
    value is made once, where the key is missing. Changes are listed without values:
    + is new, ~ differs, - goes.
    """
    is_of_cluster = stores_here.is_of_cluster(stores_here.chosen(at))
    if prune is not None and is_of_cluster:
        what = "names of Secrets have no folders, and others than we keep Secrets in a namespace"
        raise refused(what, source="--prune", hint="secret delete NAME deletes one")
    if prune is not None and not prune.endswith("/"):
        raise refused(f'"{prune}" is no folder', source="--prune", hint=f"write {prune}/")
    wanted = _read(filename)
    if is_of_cluster:
        _check_names(wanted)
    with stores_here.entered(at) as writer:
        known = writer.names(prune) if prune is not None else ()
        lines = [_apply(writer, name, wanted[name], dry_run=dry_run) for name in sorted(wanted)]
        for name in known:
            if name.startswith(prune or "") and name not in wanted:
                lines.append(f"- {name}")
                if not dry_run:
                    writer.change(name, lambda _: None)
    changed = [errors.printable(line) for line in lines if line]
    if changed:
        click.echo("\n".join(changed))
    tell(f"{len(changed)} of {len(lines)} secrets {'would change' if dry_run else 'changed'}")
    return errors.OK


def _apply(writer: Writer, name: str, keys: Mapping[str, Inline], *, dry_run: bool) -> str:
    """Bring one secret to its state; return the line that says what changed, without values."""
    line = ""

    def change(old: Data | None) -> Data:
        nonlocal line
        before = old or {}
        after = {key: _value(inline, before.get(key)) for key, inline in keys.items()}
        marks = [f"+{key}" for key in after if key not in before]
        marks += [f"~{key}" for key in after if key in before and after[key] != before[key]]
        marks += [f"-{key}" for key in before if key not in after]
        line = f"{'+' if old is None else '~'} {name}  {' '.join(sorted(marks))}" if marks else ""
        return after

    if dry_run:
        held = writer.read(name)
        change(None if held is None else held.data)
    else:
        writer.change(name, change)
    return line


def _value(inline: Inline, old: str | bytes | None) -> str | bytes:
    if inline.value is not None:
        return inline.value
    if old is not None:
        return old
    return generate.generate(inline.rule or "", random_bytes=os.urandom)


def _check_names(wanted: Wanted) -> None:
    """Raise Refused for all names that no Secret can have, before the first is written."""
    problems = [
        problem
        for name, keys in wanted.items()
        for problem in secret_object.problems(name, {key: k.value or "" for key, k in keys.items()})
    ]
    if problems:
        raise Refused(problems)


def _read(filename: str) -> Wanted:
    """Return what the file says; raises Refused with everything that is wrong, without values."""
    import yaml

    from injector import nesting

    folder = Path(filename).parent if filename != "-" else Path()
    problems: list[Problem] = []
    try:
        with click.open_file(filename, encoding="utf-8") as file:
            document = nesting.load(file.read())
    except OSError as error:
        raise refused(os.strerror(error.errno or 0).lower(), source=filename) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise refused("not YAML", source=filename) from None
    top = Fields(document, place="", origin=filename, code=errors.ARGUMENT, problems=problems)
    secrets = top.child("secrets")
    found: dict[str, dict[str, Inline]] = {}
    for name in secrets.names():
        if problem := reference.path_problem(name):
            secrets.problem(name, problem)
        keys = secrets.child(name)
        found[name] = {key: _inline(keys, key, folder) for key in keys.names()}
        if not found[name]:
            secrets.problem(name, "has no keys", "--prune deletes secrets that are not listed")
    top.finish()
    if problems:
        raise Refused(problems)
    return found


def _inline(keys: Fields, key: str, folder: Path) -> Inline:
    raw: Any = keys.take(key)
    if isinstance(raw, str):
        return Inline(value=raw, rule=None)
    if not isinstance(raw, Mapping):
        keys.problem(key, "must be a text, {file: PATH} or {generate: RULE}", "quote numbers")
        return Inline(value="", rule=None)
    child = keys.child(key)
    member = child.one_of(("file", "generate"))
    value: str | bytes | None = "" if member is None else None
    rule = None
    if member == "generate":
        rule = child.text("generate", default="")
        if not generate.is_rule(rule):
            child.problem("generate", f"must be {generate.FORM}")
    elif member == "file":
        value = _content(child, folder / child.text("file", default=""))
    child.finish()
    return Inline(value=value, rule=rule)


def _content(fields: Fields, path: Path) -> str | bytes:
    try:
        return text_or_bytes(path.expanduser().read_bytes())
    except OSError as error:
        fields.problem("file", f"{path}: {os.strerror(error.errno or 0).lower()}")
        return ""
