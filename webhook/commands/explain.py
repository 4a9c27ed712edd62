"""`secret-injector explain`: where each variable and file comes from; what an error code means."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from injector.core import errors
from injector.core.errors import Problem, Refused
from webhook.commands import costs, offline
from webhook.commands.documents import Document
from webhook.commands.graph import graph
from webhook.commands.offline import World
from webhook.commands.places import Places
from webhook.core import decide, inheritance, leases, policy, provenance, sizing
from webhook.core import pod as pods
from webhook.core.annotations import Wish
from webhook.core.manifests import PodTemplate
from webhook.core.provenance import Account

_CODE = re.compile(r"(?i)si-?[0-9]{3}")
EXAMPLES = """\b
Examples:
  secret-injector explain SI-404
  secret-injector explain -f pod.yaml -f services/ -f stores/
  secret-injector explain DATABASE_URL -f pod.yaml -f services/
  secret-injector explain checkout -f services/ -o json
  secret-injector explain -f services/ -o mermaid
  secret-injector explain -f deploy/ --cost --pods 50
  secret-injector explain checkout --cluster
"""


@click.command("explain", epilog=EXAMPLES)
@click.argument("name", required=False)
@offline.options
@click.option(
    "-o",
    "--output",
    type=click.Choice(["tree", "json", "mermaid", "dot"]),
    default="tree",
    show_default=True,
    help="A tree for people, JSON for programs, or the graph of services.",
)
@click.option("--cost", "is_cost", is_flag=True, help="Show what a rollout asks of each store.")
@click.option(
    "--pods",
    "pods_each",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="With --cost: pods of each workload.",
)
def _command(
    name: str | None,
    *,
    world: World,
    output: str,
    is_cost: bool,
    pods_each: int,
) -> int:
    """Explain pods, services, keys or error codes; values are never fetched or shown.

    NAME is an error code, a workload, a service, or a key; without it everything in the files is
    explained.
    """
    places = Places(world)
    if is_cost:
        click.echo(costs.shown(world, name, pods_each, output))
        return errors.OK
    if output in ("mermaid", "dot"):
        click.echo(graph(world.catalog, output))
        return errors.OK
    reports = [
        _placed(report, places, document)
        for document, template in world.pods
        if (report := _pod(world, template, name)) is not None
    ]
    reports += [_placed(report, places, None) for report in _services(world, name)]
    if name is not None and not reports:
        known = [t.name for _, t in world.pods] + [service for _, service in world.catalog.services]
        what = f'nothing here is called "{name}"'
        raise Refused(
            [Problem(code=errors.ARGUMENT, what=what, hint=errors.did_you_mean(name, known))]
        )
    click.echo(
        json.dumps(reports, indent=2) if output == "json" else "\n\n".join(map(_tree, reports))
    )
    return errors.exit_status(
        Problem(code=errors.CODES[code], what="") for report in reports for code in report["codes"]
    )


def main(argv: Sequence[str]) -> int:
    """Run the command; a code needs no files."""
    if argv and _CODE.fullmatch(argv[0]):
        return _code(argv[0])
    return offline.call(_command, argv, "explain")


def _code(text: str) -> int:
    code = errors.CODES.get("SI-" + text[-3:])
    if code is None:
        what = f'there is no code "{text}"'
        raise Refused(
            [Problem(code=errors.ARGUMENT, what=what, hint=errors.did_you_mean(text, errors.CODES))]
        )
    click.echo(
        f"{code.id}  {code.title}\n\n  what to do   {code.advice}\n  exit status  {code.exit}"
    )
    return errors.OK


def _pod(world: World, template: PodTemplate, name: str | None) -> dict[str, Any] | None:
    first = offline.before_injection(template.pod)
    made, wish, problems, warnings = decide.make(
        template.namespace, first, world.catalog, offline.INJECTION
    )
    subject = policy.Subject(
        namespace=template.namespace,
        labels=pods.labels_of(first),
        service_account=pods.service_account(first),
    )
    rows = provenance.accounts(made.plan, made.resolution) if made is not None else ()
    leased = leases.of_pod(world.catalog, made.plan, own=False) if made is not None else ()
    if name not in (None, template.name, wish.service):
        rows = tuple(row for row in rows if row.target == name)
        if not rows:
            return None
    return {
        "kind": template.kind,
        "name": f"{template.namespace}/{template.name}",
        "policies": [p.name for p in policy.matching(world.catalog, subject)],
        "accounts": [
            asdict(row) | {"policies": _touching(row, warnings), "path": _path(row, wish)}
            for row in rows
        ],
        "resources": _reserved(first, wish) if made is not None else {},
        "warnings": [*warnings, *(problem.line() for problem in leased)],
        "problems": [problem.render() for problem in problems],
        "codes": sorted({problem.code.id for problem in problems}),
    }


def _path(row: Account, wish: Wish) -> str:
    """Return where in its container a file appears, nothing for a variable."""
    kind, _, path = row.target.partition(" ")
    if kind != "file" or path.startswith("/"):
        return path
    return f"{wish.files_path_of(row.container)}/{path}"


def _reserved(pod: Mapping[str, Any], wish: Wish) -> dict[str, Any]:
    """Return our container's size, and what the scheduler reserves without it and with it."""
    sizes = sizing.fit(pod, offline.INJECTION.sizing, wish.resources).manifest()
    ours = {"name": pods.NAME, "resources": sizes}
    spec = pods.spec(pod)
    injected = {"spec": {**spec, "initContainers": [ours, *(spec.get("initContainers") or ())]}}
    before, after = sizing.effective_requests(pod), sizing.effective_requests(injected)
    return {
        "container": sizes,
        "reserved": {
            resource: [sizing.text_of(each[resource], resource) for each in (before, after)]
            for resource, reserved in after.items()
            if reserved
        },
    }


def _services(world: World, name: str | None) -> list[dict[str, Any]]:
    reports = []
    for namespace, service in sorted(world.catalog.services):
        found = inheritance.effective(world.catalog, namespace, service)
        if found is None:
            continue
        rows = [
            Account(
                container="",
                target=key,
                written=provenance.written(entry.key),
                via=(),
                reads=(),
                overrode=tuple(provenance.written(weaker) for weaker in entry.overrode),
            )
            for key, entry in sorted(found.keys.items())
            if name in (None, service, key)
        ]
        rows += [
            Account(
                container="",
                target=each.source.name,
                written=provenance.written(each.source),
                via=(),
                reads=(),
                overrode=(),
            )
            for each in found.env_from
            if name in (None, service)
        ]
        if name in (None, service) or rows:
            reports.append(
                {
                    "kind": "ServiceSecrets",
                    "name": f"{namespace}/{service}",
                    "policies": [],
                    "accounts": [asdict(row) | {"policies": []} for row in rows],
                    "resources": {},
                    "warnings": [
                        problem.line()
                        for problem in leases.of_object(
                            world.catalog, f"ServiceSecrets {namespace}/{service}"
                        )
                    ],
                    "problems": [problem.render() for problem in found.problems],
                    "codes": sorted({problem.code.id for problem in found.problems}),
                }
            )
    return reports


def _touching(row: Account, warnings: Iterable[str]) -> list[str]:
    """Return what policies say of one variable or file; a policy that denies leaves no row."""
    said = (text for text in warnings if text.startswith(errors.POLICY.id))
    return [
        text
        for text in said
        if f" for {row.written.place} " in text or f" for {row.target} " in text
    ]


def _placed(report: dict[str, Any], places: Places, document: Document | None) -> dict[str, Any]:
    """Return the report with FILE:LINE beside every definition that a file holds."""
    for account in report["accounts"]:
        for each in (account["written"], *account["overrode"]):
            each["at"] = places.of(each["origin"], each["place"], document)
    return report


def _tree(report: dict[str, Any]) -> str:
    lines = [f"{report['kind']} {report['name']}"]
    if report["policies"]:
        lines.append("policies: " + ", ".join(report["policies"]))
    accounts = report["accounts"]
    for index, account in enumerate(accounts):
        is_last = index == len(accounts) - 1
        lines.append(("└─ " if is_last else "├─ ") + _title(account))
        rail = "   " if is_last else "│  "
        lines += [f"{rail}  {label:<9} {text}" for label, text in _details(account)]
    reserved = report["resources"].get("reserved", {})
    if reserved:
        sizes = (f"{name} {before} → {after}" for name, (before, after) in reserved.items())
        lines.append("reserved for the pod, before → after injection: " + ", ".join(sizes))
    lines += [f"warning: {text}" for text in report["warnings"]]
    return "\n".join([*lines, *report["problems"]])


def _title(account: dict[str, Any]) -> str:
    where = f"   (container {account['container']})" if account["container"] else ""
    return f"{account['target']}{where}"


def _details(account: dict[str, Any]) -> list[tuple[str, str]]:
    written = account["written"]
    rows = [
        ("is", written["text"] or '""'),
        ("from", _where(written)),
    ]
    rows += [("at", account["path"])] if account.get("path") else []
    rows += [("uses", f"{via['place']} of {via['origin']}") for via in account["via"]]
    rows += [("reads", text) for text in account["reads"]]
    rows += [("foreign", text) for text in account["foreign"]]
    rows += [("policy", text) for text in account["policies"]]
    return rows + [("overrides", _where(weaker)) for weaker in account["overrode"]]


def _where(written: dict[str, str]) -> str:
    at = f"({written['at']})" if written["at"] else ""
    return " ".join(filter(None, [written["origin"], written["place"], at]))
