"""`secret-injector env`: what a service gets on this machine, by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from injector.commands import laptop, service_options
from injector.commands.calling import call, table
from injector.core import errors

EXAMPLES = """\b
Examples:
  secret-injector env -f service.yaml
  secret-injector env -f deploy/ --service checkout --env dev
  secret-injector env -f service.yaml --only API_KEY --reveal
"""


@click.command("env", epilog=EXAMPLES)
@service_options.options
@click.option("--reveal", is_flag=True, help="Show the values.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def _command(*, reveal: bool, output: str, **given: Any) -> int:
    """List the variables and files that a service gets, after fetching them; values are masked."""
    values = laptop.values(service_options.wanted(given))
    origins = dict(values.origins)
    found = [(name, "variable", data) for name, data in values.env]
    found += [(path, "file", data) for path, data, _ in values.files]
    if output == "json":
        listed = [
            {
                "name": name,
                "kind": kind,
                "value": data.decode("utf-8", "replace") if reveal else "***",
                "bytes": len(data),
                "from": origins[name],
            }
            for name, kind, data in found
        ]
        click.echo(json.dumps(listed, indent=2))
    elif reveal:
        for name, _, data in found:
            click.echo(f"{name}={errors.printable(data.decode('utf-8', 'replace'))}")
    elif found:
        rows = [("NAME", "KIND", "VALUE", "FROM")]
        rows += [(name, kind, "***", origins[name]) for name, kind, _ in found]
        click.echo(table(rows))
    return errors.OK


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return call(_command, argv, "env")
