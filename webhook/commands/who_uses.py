"""`secret-injector who-uses`: what refers to a service, a key, a store or a path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase

import click

from injector.core import errors
from webhook.commands import offline
from webhook.commands.offline import World
from webhook.core import again, decide, usage
from webhook.core.plan_reads import places
from webhook.core.usage import Usage

EXAMPLES = """\b
Examples:
  secret-injector who-uses vault-prod -f deploy/            # a store
  secret-injector who-uses shop/checkout -f deploy/         # a service
  secret-injector who-uses API_KEY -f deploy/               # a key
  secret-injector who-uses 'vault-prod:kv/shop/*' -f deploy/
"""


@click.command("who-uses", epilog=EXAMPLES)
@click.argument("name")
@offline.options
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def _command(name: str, world: World, output: str) -> int:
    """List the services, environments and pods that refer to NAME, directly or through imports.

    NAME is a service (or NAMESPACE/SERVICE), a key, a store, or STORE:PATH; * stands for any text.
    """
    found = [each for each in _all(world) if _matches(each, name)]
    if output == "json":
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    else:
        click.echo(_table(found) if found else f'nothing refers to "{name}"', err=not found)
    return errors.OK if found else errors.NOT_FOUND


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return offline.call(_command, argv, "who-uses")


def _all(world: World) -> Iterator[Usage]:
    yield from usage.usages(world.catalog)
    for _, template in world.pods:
        first = offline.before_injection(template.pod)
        made, wish, _, _ = decide.make(template.namespace, first, world.catalog, offline.INJECTION)
        by = f"{template.kind} {template.namespace}/{template.name}"
        if wish.service is not None:
            target = f"{template.namespace}/{wish.service}"
            yield Usage(by=by, place="annotation service", kind=usage.SERVICE, target=target)
        # What a pod that runs reads stands in it, whatever is asked for by now.
        running = again.before(template.pod) if again.carries_parts(template.pod) else None
        if running is not None and running.plan is not None:
            yield from places(running.plan, by)
        elif made is not None:
            yield from places(made.plan, by)


def _matches(found: Usage, name: str) -> bool:
    names = [found.target, found.target.rpartition("/")[2], found.key or ""]
    if found.kind == usage.STORE:
        names = [found.target, f"{found.target}:{found.path}", found.key or ""]
    return any(fnmatchcase(each, name) for each in names if each)


def _table(found: list[Usage]) -> str:
    rows = [("WHO", "WHERE", "REFERS TO", "KEY")]
    for each in found:
        target = f"{each.target}:{each.path}" if each.path else each.target
        rows.append((each.by, each.place, target, each.key or "*"))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )
