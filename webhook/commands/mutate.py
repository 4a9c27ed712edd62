"""`secret-injector mutate`: what the webhook would do to manifests, without a cluster."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import click
import yaml

from injector.core import errors
from injector.core.errors import Problem
from webhook.commands import comments, offline, places, slips
from webhook.commands.documents import Document
from webhook.commands.offline import World
from webhook.core import again, decide, manifests, review, workloads
from webhook.core.manifests import PodTemplate
from webhook.core.review import Outcome

EXAMPLES = """\b
Examples:
  secret-injector mutate -f pod.yaml -f stores/ -o diff
  kubectl get deploy shop -o yaml | secret-injector mutate -f - -f stores/
  secret-injector mutate -f app.yaml -o patch
"""

_Changed = tuple[dict[str, Any], dict[str, Any], list[Outcome]]
"""A manifest before and after, and what was decided about its pods."""


@click.command("mutate", epilog=EXAMPLES)
@offline.options
@click.option(
    "-o",
    "--output",
    type=click.Choice(["yaml", "json", "patch", "diff"]),
    default="yaml",
    show_default=True,
    help="The changed manifests, only the JSON Patch, or a diff.",
)
def _command(world: World, output: str) -> int:
    """Show what the webhook would make of pods and workloads.

    Manifests that make no pods, and pods that ask for nothing, pass through untouched. Pod
    templates are found by their shape in objects of any kind; where a controller composes the
    pod (Argo Workflows, Tekton, Spark), the decision is told and -o patch shows the pod's patch.
    Decisions go to standard error; exit status 2 or 4 says that a pod would be refused.
    """
    templates: dict[int, list[PodTemplate]] = {}
    for document, template in world.pods:
        templates.setdefault(id(document), []).append(template)
    problems: list[Problem] = []
    changed: list[_Changed] = []
    for document in world.documents:
        before = document.raw
        found = templates.get(id(document), [])
        if len(found) == 1 and not found[0].pointer:
            # One that runs is shown as if it were created anew.
            found = [replace(found[0], pod=dict(offline.before_injection(found[0].pod)))]
            before = found[0].pod if again.carries_parts(before) else before
        after, outcomes = before, []
        for template in found:
            outcome = decide_one(world, template)
            _tell(f"{document.file}:{document.line}", template, outcome, is_one=len(found) == 1)
            for text in _unheard(world, document, template, outcome):
                sys.stderr.write(f"  {review.warning(text)}\n")
            problems += outcome.problems
            problems += _told_comments(document, comments.of_pod(document, template))
            after = manifests.mutated(after, template, outcome.operations)
            outcomes.append(outcome)
        problems += _told_comments(document, comments.of_object(document))
        changed.append((before, after, outcomes))
    sys.stderr.writelines(offline.unseen(world))
    click.echo(_rendered(changed, output), nl=False)
    return errors.exit_status(problems)


def _unheard(
    world: World, document: Document, template: PodTemplate, outcome: Outcome
) -> Iterator[str]:
    """Yield what no decision says: text from elsewhere, and what looks as if the pod should ask."""
    for problem in offline.brought_as_text(world, template):
        yield problem.line()
    if outcome.reason == "not_asked":
        yield from workloads.misplaced(document.raw)
        for slip in slips.of_pod(world, document, template):
            yield slip.problem.line()


def _told_comments(document: Document, found: Iterable[Problem]) -> list[Problem]:
    """Tell of references that are lost in comments: no cluster would, it never sees the source."""
    problems = list(found)
    for problem in problems:
        line = places.line(document, problem.source)
        sys.stderr.write(f"{document.file}:{line}: {problem.render()}\n")
    return problems


def main(argv: Sequence[str]) -> int:
    """Run the command; raises what it cannot answer."""
    return offline.call(_command, argv, "mutate")


def decide_one(world: World, template: PodTemplate) -> Outcome:
    """Return the webhook's own decision about a pod of the template."""
    return decide.decide(manifests.request(template), world.catalog, offline.INJECTION)


def _tell(place: str, template: PodTemplate, outcome: Outcome, *, is_one: bool) -> None:
    name = f"{template.kind} {template.namespace}/{template.name or '(generated)'}"
    if not is_one or template.is_composed:
        name += f" {template.path}"
    sys.stderr.write(f"{place}: {name}: {outcome.kind} ({outcome.reason})\n")
    for text in (*outcome.warnings, *filter(None, [review.message(outcome)])):
        sys.stderr.write("".join(f"  {line}\n" for line in text.splitlines()))
    if template.is_composed and outcome.operations:
        sys.stderr.write("  its controller composes the pod: the manifest stays as it is\n")


def _rendered(changed: list[_Changed], output: str) -> str:
    match output:
        case "patch":
            patches = [
                outcome.operations
                for _, _, outcomes in changed
                for outcome in outcomes
                if outcome.operations
            ]
            return "".join(json.dumps(operations, indent=2) + "\n" for operations in patches)
        case "json":
            return "".join(json.dumps(after, indent=2) + "\n" for _, after, _ in changed)
        case "diff":
            return "".join(diff(before, after) for before, after, _ in changed)
        case _:
            return "---\n".join(_yaml(after) for _, after, _ in changed)


def diff(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return a unified diff of two manifests as YAML; empty when they are equal."""
    lines = difflib.unified_diff(
        _yaml(before).splitlines(keepends=True),
        _yaml(after).splitlines(keepends=True),
        "as written",
        "as injected",
        n=2,
    )
    return "".join(lines)


def _yaml(raw: dict[str, Any]) -> str:
    return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=100)
