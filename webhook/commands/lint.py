"""`secret-injector lint`: every problem of manifests with its file and line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import click

from injector import __version__
from injector.core import errors, steering
from injector.core.errors import Problem
from injector.core.steering import Steers
from webhook.commands import comments, fixes, offline, places, slips
from webhook.commands.documents import Document
from webhook.commands.offline import World
from webhook.core import (
    asking,
    decide,
    from_entries,
    leases,
    literals,
    lookalikes,
    manifests,
    ownership,
    policy_advice,
    resources,
    review,
    validate,
    workloads,
    yamltext,
)
from webhook.core import pod as pods
from webhook.core.annotations import PREFIX, ours
from webhook.core.manifests import PodTemplate

EXAMPLES = """\b
Examples:
  secret-injector lint -f deploy/
  secret-injector lint -f deploy/ -o github      # annotations on a pull request
  secret-injector lint -f deploy/ -o sarif > lint.sarif
  secret-injector lint -f deploy/ --fix          # imports from other namespaces name their keys
  secret-injector lint --cluster                 # before an upgrade: what it will deny
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem at its place.

    A `warning` may be meant so. An `error` is refused by the cluster, or leaves a pod without a
    value that it was given a reference to.
    """

    file: str
    line: int
    level: str
    problem: Problem


@click.command("lint", epilog=EXAMPLES)
@offline.options
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="For people, for programs, for code scanning, or for GitHub's log.",
)
@click.option(
    "--fix",
    "is_fixing",
    is_flag=True,
    help="Rewrite imports from other namespaces in the files, so that they name their keys.",
)
def _command(world: World, output: str, *, is_fixing: bool) -> int:
    """Check pods, services, environments, stores and policies as the webhook would.

    Pod templates are found by their shape in objects of any kind; standard error names the kinds
    in which none was found. Exit status 3 says that something was found.
    """
    if is_fixing:
        if world.again is None:
            raise click.UsageError("--fix rewrites files: name them with -f FILE")
        for file, line in fixes.fix(world):
            click.echo(f"{file}:{line}: fixed: the import names its keys", err=True)
        world = world.again()
    found = sorted(findings(world), key=lambda f: (f.file, f.line, f.problem.line()))
    click.echo(_rendered(found, output), nl=False)
    for text in offline.unseen(world):
        click.echo(text, nl=False, err=True)
    return errors.FINDINGS if any(finding.level == "error" for finding in found) else errors.OK


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return offline.call(_command, argv, "lint")


def findings(world: World) -> Iterator[Finding]:
    """Yield everything that is wrong with the documents."""
    wrong = [_mistakes(document, world) for document in world.documents]
    # What another object has wrong is found where that one stands. What it may well have, and only
    # its taker may not, is found at the taker, and so is what stands in none of the documents.
    told = {
        problem
        for document, problems in zip(world.documents, wrong, strict=True)
        for problem in problems
        if _is_own(problem, document, world)
    }
    templates: dict[int, list[PodTemplate]] = {}
    for document, template in world.pods:
        templates.setdefault(id(document), []).append(template)
    for document, problems in zip(world.documents, wrong, strict=True):
        kind = str(document.raw.get("kind") or "")
        for problem in problems:
            if _is_own(problem, document, world):
                yield _finding(document, problem)
            elif problem not in told:
                yield _at_imports(document, problem)
        if kind in offline.KINDS:
            for problem in leases.of_object(
                world.catalog, places.origin(document, world.namespace)
            ):
                yield _finding(document, problem, level="warning")
        if kind == "ServiceSecrets":
            yield from _endpoints(document)
            yield from _idle(document)
        yield from _literals(document, kind)
        yield from _misplaced(document, kind)
        yield from _advice(document, kind)
        yield from _misread(world, document, kind, problems)
        yield from _slips(document, templates.get(id(document), ()))
    told.update(*wrong)
    for document, template in world.pods:
        yield from _pod(world, document, template, told)
        yield from _annotated_literals(document, template)


def _mistakes(document: Document, world: World) -> tuple[Problem, ...]:
    kind = str(document.raw.get("kind") or "")
    if kind not in offline.KINDS or offline.is_foreign(document.raw):
        return ()
    return validate.mistakes(kind, document.raw, world.catalog)


def _is_own(problem: Problem, document: Document, world: World) -> bool:
    return problem.origin in ("", places.origin(document, world.namespace))


def _pod(
    world: World, document: Document, template: PodTemplate, told: set[Problem]
) -> Iterator[Finding]:
    first = replace(template, pod=dict(offline.before_injection(template.pod)))
    outcome = decide.decide(manifests.request(first), world.catalog, offline.INJECTION)
    for problem in outcome.problems:
        # What a service has wrong is found where the service stands.
        if not problem.origin.startswith(offline.KINDS):
            yield _finding(document, problem, annotated=template.annotated)
        elif problem not in told:
            yield replace(_finding(document, problem), line=document.line)
    if outcome.more:
        what = f"and {outcome.more} more problems of this pod"
        yield _finding(document, Problem(code=errors.LIMIT, what=what))
    found = list(slips.of_pod(world, document, first))
    for slip in found:
        level = slip.level if slip.level == "warning" else _level(slip.problem)
        yield replace(_finding(document, slip.problem, level=level), line=slip.line)
    commented = list(comments.of_pod(document, first))
    for problem in commented:
        yield _finding(document, problem)
    told_here = {review.warning(problem.line()) for _, problem, _ in found}
    for text in outcome.warnings:
        if text not in told_here and not (commented and text.startswith(errors.COMMENT.id)):
            yield _warning(document, text)
    yield from _advised(world, document, first)


def _advised(world: World, document: Document, first: PodTemplate) -> Iterator[Finding]:
    """Yield warnings of what nobody refuses, and only the files or the plan show."""
    for problem in offline.brought_as_text(world, first):
        line = slips.line_of_source(document, first, problem.source)
        yield replace(_finding(document, problem, level="warning"), line=line)
    made, wish, *_ = decide.make(first.namespace, first.pod, world.catalog, offline.INJECTION)
    if made is not None:
        served = {part.name for part in made.plan.containers}
        for problem in (
            *asking.idle_overrides(first.pod, wish, served),
            *leases.of_pod(world.catalog, made.plan, own=True),
            *ownership.findings(first.pod, made.plan),
        ):
            yield _finding(document, problem, level="warning")


def _at_imports(document: Document, problem: Problem) -> Finding:
    """Return a problem of another's key where the document imports, or at its beginning."""
    line = document.lines.get("spec.env.__import_svc", document.line)
    return replace(_finding(document, problem), line=line)


def _endpoints(document: Document) -> Iterator[Finding]:
    """Yield a warning for each key that steers whom the processes of a namespace talk to."""
    spec = document.raw.get("spec")
    env = spec.get("env") if isinstance(spec, dict) else None
    listed = (key for key in resources.service(document.raw).definitions.env if key.taken)
    named = {str(name): f"spec.env.{name}" for name in env} if isinstance(env, dict) else {}
    named.update((key.name, key.place) for key in listed)
    for name, place in named.items():
        if steering.of(name) is Steers.ENDPOINT:
            what = f'"{name}" decides {Steers.ENDPOINT.value}, in every pod that takes it'
            hint = "see that only those may change this object who may decide that"
            problem = Problem(code=errors.STEERING_NAME, what=what, source=place, hint=hint)
            yield replace(_finding(document, problem), level="warning")


def _idle(document: Document) -> Iterator[Finding]:
    """Yield a warning for each entry that takes no key of its secret."""
    for problem in from_entries.idle(resources.service(document.raw).definitions.env_from):
        yield _finding(document, problem, level="warning")


def _literals(document: Document, kind: str) -> Iterator[Finding]:
    """Yield a warning for each literal of an object that looks like a secret."""
    spec = document.raw.get("spec")
    if kind in ("ServiceSecrets", "EnvironmentSecrets") and isinstance(spec, dict):
        for part in ("env", "files"):
            for problem in literals.findings(spec.get(part), place=f"spec.{part}"):
                yield _finding(document, problem, level="warning")


def _annotated_literals(document: Document, template: PodTemplate) -> Iterator[Finding]:
    """Yield the same for the values that a pod's annotations write."""
    for name, text in ours(pods.annotations_of(template.pod)).items():
        if name.partition(".")[0] in ("env", "files"):
            with contextlib.suppress(yamltext.YamlSlip):  # the pod's own findings say so
                entries = yamltext.parse(str(text))
                place = f"annotation {PREFIX}{name}"
                for problem in literals.findings(entries, place=place, is_raw=True):
                    yield _finding(document, problem, level="warning")


def _misplaced(document: Document, kind: str) -> Iterator[Finding]:
    if kind not in offline.KINDS:
        for text in workloads.misplaced(document.raw):
            yield _warning(document, text)


def _slips(document: Document, templates: Sequence[PodTemplate]) -> Iterator[Finding]:
    """Yield the names that were meant otherwise; annotations that do nothing are warnings."""
    for slip in slips.of_document(document, templates):
        yield replace(_finding(document, slip.problem, level=slip.level), line=slip.line)


def _misread(
    world: World, document: Document, kind: str, wrong: Sequence[Problem]
) -> Iterator[Finding]:
    """Yield the values of a resource that were meant as references and are none.

    `wrong` is what is refused anyway: an empty value is told of once.
    """
    if kind in offline.KINDS and not offline.is_foreign(document.raw):
        for problem in validate.misread(kind, document.raw, world.catalog):
            yield _finding(document, problem, level=_level(problem))
        told = {problem.source.removesuffix(".value") for problem in wrong}
        for problem in comments.of_object(document):
            if problem.source.removesuffix(".value") not in told:
                yield _finding(document, problem)


def _level(problem: Problem) -> str:
    return "error" if lookalikes.is_sure(problem) else "warning"


def _advice(document: Document, kind: str) -> Iterator[Finding]:
    if kind == "ClusterInjectionPolicy":
        for problem in policy_advice.advice(resources.policy(document.raw)):
            yield _finding(document, problem, level="warning")


def _warning(document: Document, text: str) -> Finding:
    what = text.removeprefix("secret-injector: ")
    code, _, rest = what.partition(" ")
    if code in errors.CODES:
        problem = Problem(code=errors.CODES[code], what=rest)
    else:
        problem = Problem(code=errors.ANNOTATION_VALUE, what=what)
    return Finding(file=document.file, line=document.line, level="warning", problem=problem)


def _finding(
    document: Document,
    problem: Problem,
    *,
    level: str = "error",
    annotated: Sequence[str] = (),
) -> Finding:
    return Finding(
        file=document.file,
        line=places.line(document, _written(problem), annotated),
        level=level,
        problem=problem,
    )


def _written(problem: Problem) -> str:
    """Return where the problem is written: of a key in an annotation, that annotation."""
    is_annotation = problem.origin.startswith("annotation ")
    return problem.origin if is_annotation else problem.source


def _rendered(found: list[Finding], output: str) -> str:
    match output:
        case "json":
            rows = [
                {
                    "file": f.file,
                    "line": f.line,
                    "level": f.level,
                    "code": f.problem.code.id,
                    "message": f.problem.line(),
                    "hint": f.problem.hint or f.problem.code.advice,
                }
                for f in found
            ]
            return json.dumps(rows, indent=2) + "\n"
        case "github":
            return "".join(
                f"::{f.level} file={f.file},line={f.line},title={f.problem.code.id}::"
                f"{f.problem.line()} ({f.problem.hint or f.problem.code.advice})\n"
                for f in found
            )
        case "sarif":
            return json.dumps(_sarif(found), indent=2) + "\n"
        case _:
            return "".join(f"{f.file}:{f.line}: {f.level}: {f.problem.render()}\n" for f in found)


def _sarif(found: list[Finding]) -> dict[str, object]:
    """Return the findings as SARIF 2.1.0 (OASIS), as far as code scanning needs it."""
    codes = sorted({f.problem.code.id for f in found})
    rules = [{"id": id_, "shortDescription": {"text": errors.CODES[id_].title}} for id_ in codes]
    results = [
        {
            "ruleId": f.problem.code.id,
            "level": f.level,
            "message": {"text": f.problem.render()},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": f.file},
                        "region": {"startLine": f.line},
                    }
                }
            ],
        }
        for f in found
    ]
    driver = {"name": "secret-injector", "version": __version__, "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
