"""`secret-injector doctor`: reach a store step by step, and say at which step it ends and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import click

from injector.commands import doctor_steps, stores_here
from injector.commands.calling import call, tell
from injector.commands.doctor_steps import Step
from injector.core import errors
from injector.core.errors import FetchFailed

EXAMPLES = """\b
Examples:
  secret-injector doctor vault --path secret/shop/db
  secret-injector doctor local --stores stores.yaml -o json
"""


@click.command("doctor", epilog=EXAMPLES)
@click.argument("store")
@click.option("--path", metavar="PATH", help="A secret to read; its keys are shown, no values.")
@click.option(
    "--stores",
    "stores_file",
    metavar="FILE",
    help="Definitions of stores; .secret-injector/stores.yaml if it is there.",
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def _command(store: str, path: str | None, stores_file: str | None, output: str) -> int:
    """Resolve, connect, verify TLS, log in and read, each with its time.

    All servers that the store needs are reached, and those of its fallbacks too. The exit status is
    that of the problem: 5 for a login, 6 for what is missing, 7 for a store that cannot be reached.
    """
    chosen = stores_here.named(store, stores_here.defined(stores_file))
    done = doctor_steps.steps(chosen, path, stores_here.access())
    steps = _told(done, has_sites=len(chosen.sites()) > 1) if output == "table" else list(done)
    if output == "json":
        listed = [
            {"site": s.site, "step": s.name, "ok": s.failure is None, "ms": s.ms, "note": s.note}
            for s in steps
        ]
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    problems = [s.failure.problem(f"store {store}") for s in steps if s.failure is not None]
    if problems:
        raise FetchFailed(problems)
    if path is None:
        tell("no path was read: --path PATH tries that too")
    return errors.OK


def _told(steps: Iterable[Step], *, has_sites: bool) -> list[Step]:
    """Write a line for each step as it is done, each site's under its name; return them all."""
    told: list[Step] = []
    for step in steps:
        if has_sites and (not told or told[-1].site != step.site):
            click.echo(errors.printable(step.site))
        mark = "ok  " if step.failure is None else "FAIL"
        note = errors.printable(step.note)
        click.echo(f"{mark}  {step.name:<8} {step.ms:>8.1f} ms  {note}"[:100].rstrip())
        told.append(step)
    return told


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return call(_command, argv, "doctor")
