"""`secret-injector policy test`: policies against cases from files, without a cluster.

cases:
  - name: tenants read their own paths only
    pod: tenant.yaml            # a file beside the cases, or the manifest itself
    namespace: team-a           # where the pod names none
    expect: deny                # allow, warn or deny
    policies: [tenancy]         # those that must speak; absent, any may
    codes: [SI-121]             # those that must occur; absent, any may
    keys:                       # what secrets hold that all keys are taken of
      "vault:secret/team-a/db": [USER, ROOT]
    leftOut: [DB_ROOT]          # exactly the variables that the fetcher leaves out; absent, any may
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import yaml

from injector import nesting
from injector.core import env_from, errors
from injector.core.env_from import Told
from injector.core.errors import Problem, Refused
from injector.core.fields import Fields
from injector.core.plan import Pick
from webhook.commands import documents, offline, upgrade
from webhook.commands.offline import World
from webhook.core import decide, manifests
from webhook.core.catalog import Catalog
from webhook.core.manifests import PodTemplate
from webhook.core.review import Outcome

EXAMPLES = """\b
Examples:
  secret-injector policy test --cases cases.yaml -f policies/ -f stores/
"""


_EXPECT = re.compile(r"allow|warn|deny")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One claim about a pod: what the policies must answer."""

    name: str
    manifest: dict[str, Any]
    namespace: str
    expect: str
    policies: tuple[str, ...]
    codes: tuple[str, ...]
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: tuple[str, ...] | None = None


@click.group("policy")
def _group() -> None:
    """Work with policies."""


@_group.command("test", epilog=EXAMPLES)
@click.option("--cases", "case_files", multiple=True, required=True, metavar="FILE", help="Cases.")
@offline.options
def _test(case_files: tuple[str, ...], world: World) -> int:
    """Run cases against the policies, stores and services of the files.

    What rules of this version deny of the services and workloads read is listed beneath. Exit
    status 3 says that a case failed.
    """
    cases = [case for file in case_files for case in load(Path(file), namespace=world.namespace)]
    failed = 0
    for case in cases:
        outcome, what = run(case, world.catalog)
        failed += bool(what)
        click.echo(f"{'FAIL' if what else 'ok  '}  {case.name}" + (f": {what}" if what else ""))
        if what:
            for problem in outcome.problems:
                click.echo(f"        {problem.line()}")
    click.echo(f"{len(cases) - failed} passed, {failed} failed")
    coming = upgrade.denied(world)
    if coming:
        click.echo("\nan upgrade to this version will deny, of what is there:")
    for name, problems in coming.items():
        click.echo(f"        {name}")
        for problem in problems:
            click.echo(f"          {problem.line()}")
    return errors.FINDINGS if failed else errors.OK


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return offline.call(_group, argv, "policy")


def run(case: Case, catalog: Catalog) -> tuple[Outcome, str]:
    """Return the decision about the case's pod and how it differs from the claim, if it does."""
    template = manifests.template(case.manifest, namespace=case.namespace)
    if template is None:
        return Outcome(kind="skip", reason="no_pod"), "the manifest makes no pods"
    outcome = decide.decide(manifests.request(template), catalog, offline.INJECTION)
    told, unread = _told(case, template, catalog)
    if unread:
        return outcome, f"{unread} is no secret that the pod takes all keys of"
    failures = tuple(_problem(line) for line in told if line.is_failure)
    if failures:
        outcome = replace(outcome, kind="deny", problems=(*outcome.problems, *failures))
    warnings = [_problem(line).line() for line in told if not line.is_failure]
    outcome = replace(outcome, warnings=(*outcome.warnings, *warnings))
    said = [*(problem.line() for problem in outcome.problems), *outcome.warnings]
    found = "deny" if outcome.kind == "deny" else "warn" if outcome.warnings else "allow"
    if found != case.expect:
        return outcome, f"expected {case.expect}, got {found}"
    silent = [name for name in case.policies if not any(f"policy {name}," in text for text in said)]
    if silent:
        return outcome, f"policy {', '.join(silent)} did not speak"
    codes = {problem.code.id for problem in outcome.problems}
    codes |= {line.code.id for line in told}
    absent = [code for code in case.codes if code not in codes]
    if absent:
        return outcome, f"{', '.join(absent)} did not occur"
    left_out = sorted({line.name for line in told if line.is_left_out})
    if case.left_out is not None and left_out != sorted(case.left_out):
        return outcome, f"left out are {', '.join(left_out) or 'none'}"
    return outcome, ""


def _told(case: Case, template: PodTemplate, catalog: Catalog) -> tuple[list[Told], str]:
    """Return what the fetcher would tell of the keys of the case, and a secret that it reads not.

    Names are all that it judges, so the case can say them.
    """
    made = decide.make(template.namespace, template.pod, catalog, offline.INJECTION)[0]
    if made is None or not case.keys:
        return [], ""
    plan = made.plan
    wanted = dict(case.keys)
    found: dict[int, Sequence[str]] = {}
    for part in plan.containers:
        for entry in part.env_from:
            pick = plan.values[entry.value].parts[0]
            if isinstance(pick, Pick):
                store, _, rest = plan.where(pick).partition(" ")
                found[entry.value] = case.keys.get(f"{store}:{rest}", ())
                wanted.pop(f"{store}:{rest}", None)
    if wanted:
        return [], next(iter(wanted))
    told = []
    for part in plan.containers:
        told += env_from.chosen(part, plan.rules, found)[1]
    return told, ""


def _problem(line: Told) -> Problem:
    return Problem(
        code=line.code, what=line.what, source=f"key {line.key}", target=line.name, hint=line.hint
    )


def load(file: Path, *, namespace: str) -> list[Case]:
    """Return the cases of a file; raises Refused (SI-201) with every mistake in it."""
    problems: list[Problem] = []
    try:
        data = nesting.load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        problem = Problem(code=errors.ARGUMENT, what="cannot be read as YAML", source=str(file))
        raise Refused([problem]) from None
    fields = Fields(data, place="", origin=str(file), code=errors.ARGUMENT, problems=problems)
    cases = [_case(child, file, namespace) for child in fields.children("cases", most=10_000)]
    fields.finish()
    if problems:
        raise Refused(problems)
    return cases


def _case(fields: Fields, file: Path, namespace: str) -> Case:
    pod = fields.take("pod")
    manifest: dict[str, Any] = {}
    if isinstance(pod, str):
        found = [
            d.raw
            for d in documents.load([str(file.parent / pod)])
            if manifests.template(d.raw, namespace=namespace) is not None
        ]
        manifest = found[0] if found else {}
    elif isinstance(pod, dict):
        manifest = {"kind": "Pod", **pod}
    if not manifest:
        fields.problem("pod", "must be a manifest, or the name of a file with one")
    left_out = fields.texts("leftOut")
    case = Case(
        name=fields.text("name"),
        manifest=manifest,
        namespace=fields.text("namespace", default=namespace),
        expect=fields.text("expect", pattern=_EXPECT, form="allow, warn or deny"),
        policies=fields.texts("policies"),
        codes=fields.texts("codes"),
        keys=_keys(fields),
        left_out=left_out if fields.has("leftOut") else None,
    )
    fields.finish()
    return case


def _keys(fields: Fields) -> dict[str, tuple[str, ...]]:
    """Take `keys`: secrets, written as in `from`, to the names of their keys."""
    child = fields.child("keys")
    found = {secret: child.texts(secret, most=env_from.MAX_KEYS) for secret in child.names()}
    child.finish()
    return found
