"""`secret-injector doctor`: which step of reaching a store fails, and what the nodes can do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import click

from injector.commands import doctor_options, doctor_steps, stores_here
from injector.commands.calling import call, refused, table, tell
from injector.commands.doctor_options import Wanted
from injector.commands.doctor_steps import Step
from injector.core import errors, native_env
from injector.core.errors import FetchFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from injector.commands.doctor_cluster import Report

EXAMPLES = """\b
Examples:
  secret-injector doctor vault --path secret/shop/db
  secret-injector doctor local --stores stores.yaml -o json
  secret-injector doctor --cluster                    # do native variables reach processes?
"""


@click.command("doctor", epilog=EXAMPLES)
@click.argument("store", required=False)
@click.option("--path", metavar="PATH", help="A secret to read; its keys are shown, no values.")
@click.option(
    "--stores",
    "stores_file",
    metavar="FILE",
    help="Definitions of stores; .secret-injector/stores.yaml if it is there.",
)
@doctor_options.options
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def _command(
    store: str | None,
    path: str | None,
    stores_file: str | None,
    output: str,
    wanted: Wanted | None,
) -> int:
    """Resolve, connect, verify TLS, log in to STORE and read, each with its time.

    All servers that the store needs are reached, and those of its fallbacks too. The exit status is
    that of the problem: 5 for a login, 6 for what is missing, 7 for a store that cannot be reached.

    With --cluster, a pod on each node shows whether variables of env-mode native reach a process:
    a kubelet with the feature gate EnvFiles switched off leaves them empty and says nothing. The
    exit status is 3 where the chart's injected.nativeEnv must be changed, and 7 where a node's pod
    did not start.
    """
    if wanted is not None:
        if store or path or stores_file:
            raise refused("--cluster looks at nodes, not at a store: leave the rest out")
        from injector.commands import doctor_cluster  # with what speaks to an API server

        return _of_cluster(doctor_cluster.prove(wanted, tell), output)
    if store is None:
        raise refused("Missing argument 'STORE'", hint="name a store, or --cluster")
    return _of_store(store, path, stores_file, output)


def _of_store(store: str, path: str | None, stores_file: str | None, output: str) -> int:
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


def _of_cluster(report: Report, output: str) -> int:
    if output == "json":
        nodes = [
            {"node": p.node, "kubelet": p.kubelet, "result": p.result, "note": p.note}
            for p in report.proofs
        ]
        releases = [
            {"namespace": r.namespace, "name": r.name, "nativeEnv": r.setting}
            for r in report.releases
        ]
        found = {"nodes": nodes, "releases": releases, "nativeEnv": report.advice}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        rows = [("NODE", "KUBELET", "NATIVE VARIABLES", "")]
        rows += [(p.node, p.kubelet, p.result, p.note) for p in report.proofs]
        click.echo("\n".join(map(errors.printable, table(rows).splitlines())))
        click.echo("\n".join(_verdict(report)))
    if report.problems:
        raise FetchFailed(report.problems)
    return errors.OK


def _verdict(report: Report) -> list[str]:
    """Return what to set: of each release, and why its own setting is right or not."""
    if not report.advice:
        return ["nothing was proved"]
    lines = []
    for release in report.releases:
        name = f"release {release.namespace}/{release.name}"
        if release.setting == report.advice:
            lines.append(f"{name}: injected.nativeEnv: {release.setting} is right")
        elif native_env.is_safe(release.setting, report.proofs):
            lines.append(
                f"{name}: injected.nativeEnv: {release.setting} is safe;"
                f" {report.advice} would work as well"
            )
        else:
            lines.append(
                f"{name}: set injected.nativeEnv: {report.advice}; it is {release.setting}"
            )
    return lines or [f"set injected.nativeEnv: {report.advice}"]


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
