"""`secret-injector secret`: look at and change what a store keeps."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from injector.commands import secret_apply, secret_delete, secret_input, stores_here
from injector.commands.calling import call, refused, table, tell
from injector.commands.secret_lookup import folder_of, picked, there
from injector.commands.stores_here import Place
from injector.core import errors, generate
from injector.core.errors import FetchFailed, Problem
from injector.writers import KeepsDates, Writer

EXAMPLES = """\b
Examples:
  secret-injector secret set shop/db user password        # asks for each value
  pass show db | secret-injector secret set shop/db password
  secret-injector secret set shop/tls key=@tls.key cert=@tls.crt
  secret-injector secret get shop/db password --reveal
  secret-injector secret rotate shop/db password --rule alnum:32
  secret-injector secret rollback shop/db --to 3
  secret-injector secret apply -f secrets.yaml --dry-run
  secret-injector secret set payment api-key --store k8s -n shop
"""

_output = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)


@click.group("secret", epilog=EXAMPLES)
def _group() -> None:
    """Look at and change secrets in a store: local, vault, one of AWS, or a cluster's Secrets."""


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return call(_group, argv or ["--help"], "secret")


_expires = click.option(
    "--expires",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day from which on nobody gets it; of a local store.",
)


@_group.command("set")
@stores_here.options
@click.argument("name")
@click.argument("items", nargs=-1, metavar="KEY|KEY=@FILE...")
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="Shows the value in the history.")
@click.option("--replace", is_flag=True, help="Drop keys that are not named.")
@_expires
def _set(
    name: str,
    items: tuple[str, ...],
    data: tuple[str, ...],
    *,
    replace: bool,
    expires: datetime | None,
    at: Place,
) -> int:
    """Set keys of a secret; the other keys stay."""
    _check_in_future(expires)
    new = secret_input.values(items, data)
    with stores_here.entered(at) as writer:
        _end(writer, expires)
        version = writer.change(name, lambda old: new if replace else {**(old or {}), **new})
    _tell_version(name, version)
    return errors.OK


@_group.command("get")
@stores_here.options
@click.argument("name")
@click.argument("key", required=False)
@click.option("--version", metavar="V")
@click.option("--reveal", is_flag=True, help="Show the values.")
@_output
def _get(
    name: str,
    key: str | None,
    version: str | None,
    *,
    reveal: bool,
    output: str,
    at: Place,
) -> int:
    """Show the keys of a secret; with KEY and --reveal the value alone, byte for byte."""
    with stores_here.entered(at) as writer:
        held = there(writer.read(name, version), name, writer.names)
    found = held.data
    if key is not None:
        found = {key: picked(found, name, key)}
        if reveal and output == "table":
            value = found[key]
            sys.stdout.buffer.write(value.encode() if isinstance(value, str) else value)
            return errors.OK
    if output == "json":
        shown = {each: _json(value) if reveal else "***" for each, value in found.items()}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return errors.OK
    rows = [("KEY", "BYTES", "VALUE")]
    for each, value in sorted(found.items()):
        text = value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
        size = len(value.encode() if isinstance(value, str) else value)
        rows.append((each, str(size), errors.printable(text) if reveal else "***"))
    click.echo(table(rows, width=100 if not reveal else 1 << 21))
    if held.version:
        tell(f"{name} at version {held.version}")
    return errors.OK


@_group.command("list")
@stores_here.options
@click.argument("prefix", default="")
@_output
def _list(prefix: str, output: str, at: Place) -> int:
    """List the names of secrets, or of those that begin with PREFIX."""
    with stores_here.entered(at) as writer:
        listed = writer.names(folder_of(prefix))
    names = [name for name in listed if name.startswith(prefix)]
    if output == "json":
        click.echo(json.dumps(names, indent=2, ensure_ascii=False))
    elif names:
        click.echo("\n".join(errors.printable(name) for name in names))
    return errors.OK


@_group.command("history")
@stores_here.options
@click.argument("name")
@_output
def _history(name: str, output: str, at: Place) -> int:
    """List the versions of a secret, the newest last."""
    with stores_here.entered(at) as writer:
        found = writer.history(name)
        if not found:
            there(None, name, writer.names)
    if output == "json":
        listed = [
            {"version": p.version, "created": p.created, "state": p.state, "keys": list(p.keys)}
            for p in found
        ]
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    else:
        rows = [("VERSION", "CREATED", "STATE", "KEYS")]
        rows += [(p.version, p.created, p.state, ", ".join(p.keys)) for p in found]
        click.echo(table(rows))
    return errors.OK


@_group.command("rollback")
@stores_here.options
@click.argument("name")
@click.option("--to", "version", required=True, metavar="V", help="The version to go back to.")
def _rollback(name: str, version: str, at: Place) -> int:
    """Write what an older version held as a new version."""
    with stores_here.entered(at) as writer:
        old = writer.read(name, version)
        if old is None:
            there = ", ".join(p.version for p in writer.history(name)) or "none"
            problem = Problem(
                code=errors.MISSING, what=f"no version {version}; there are: {there}", source=name
            )
            raise FetchFailed([problem])
        data = old.data
        new = writer.change(name, lambda _: data)
    _tell_version(name, new)
    return errors.OK


@_group.command("rotate")
@stores_here.options
@click.argument("name")
@click.argument("keys", nargs=-1, required=True)
@click.option("--rule", default="alnum:32", show_default=True, help=generate.FORM + ".")
@_expires
def _rotate(
    name: str, keys: tuple[str, ...], rule: str, expires: datetime | None, at: Place
) -> int:
    """Give keys of a secret new random values; they are not shown."""
    if not generate.is_rule(rule):
        raise refused(f'"{rule}" is no rule', source="--rule", hint=generate.FORM)
    _check_in_future(expires)
    new = {key: generate.generate(rule, random_bytes=os.urandom) for key in keys}
    with stores_here.entered(at) as writer:
        _end(writer, expires)
        version = writer.change(name, lambda old: {**(old or {}), **new})
    _tell_version(name, version)
    return errors.OK


_group.add_command(secret_apply.command)
_group.add_command(secret_delete.command)


def _check_in_future(expires: datetime | None) -> None:
    """Raise Refused, before any value is asked for, for a day on which nobody would get it."""
    if expires is not None and expires.date() <= datetime.now(UTC).date():
        hint = "it counts from that day on, in UTC"
        raise refused(f"{expires:%Y-%m-%d} is not in the future", source="--expires", hint=hint)


def _end(writer: Writer, expires: datetime | None) -> None:
    """Let what is written end on the day; raises Refused where the store keeps no days."""
    if expires is None:
        return
    if not isinstance(writer, KeepsDates):
        hint = "notAfter beside the value in a ServiceSecrets ends it for all stores"
        raise refused("this store keeps no days on which values end", source="--expires", hint=hint)
    writer.expires = f"{expires:%Y-%m-%d}"


def _json(value: str | bytes) -> object:
    if isinstance(value, str):
        return value
    return {"base64": base64.b64encode(value).decode()}


def _tell_version(name: str, version: str) -> None:
    tell(f"{name} is at version {version}" if version else f"{name} is written")
