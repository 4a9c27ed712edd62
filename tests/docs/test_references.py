"""The reference pages are made from the code: one that differs is out of date (`make golden`)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from injector.core import errors
from tests.chart import manifests
from tests.e2e.breakages import cases
from webhook.core.annotations import ANNOTATIONS, PREFIX

DOCS = Path(__file__).parents[2] / "docs"
MADE = "<!-- made from the code by `make golden`; edit the code instead -->\n"


def annotations() -> Iterator[str]:
    """Yield the table of annotations."""
    yield "| annotation | form | meaning | default |"
    yield "|---|---|---|---|"
    for each in ANNOTATIONS:
        name = f"`{PREFIX}{each.name}`"
        if each.is_per_container:
            name += f"<br>`{PREFIX}{each.name}.<container>`"
        default = (
            f"`{each.default}`" if each.default.startswith(("/", "auto", "init")) else each.default
        )
        yield f"| {name} | {each.form} | {each.meaning} | {default} |"


def codes() -> Iterator[str]:
    """Yield a section for every code."""
    for code in sorted(errors.CODES.values(), key=lambda c: c.id):
        yield f"### {code.id}: {code.title}\n\n{_sentence(code.advice)} Exit status {code.exit}.\n"


def resources() -> Iterator[str]:
    """Yield a table of the fields of every resource."""
    for _, crd in sorted(manifests.definitions().items()):
        names = crd["spec"]["names"]
        [version] = [v for v in crd["spec"]["versions"] if v["storage"]]
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        scope = crd["spec"]["scope"].lower()
        short = ", ".join(names.get("shortNames", ()))
        yield f"## {names['kind']}\n\n`{version['name']}`, {scope}, short name `{short}`.\n"
        yield "| field | type | meaning |"
        yield "|---|---|---|"
        yield from _fields(spec, "spec")
        yield ""


def breakages() -> Iterator[str]:
    """Yield a row for every failure that the end-to-end tests make for real."""
    yield "| what is wrong | seen first in | what it says |"
    yield "|---|---|---|"
    for case in cases.CASES:
        said = " ".join(f"`{line}`" for line in (case.shown, case.hint) if line) or "nothing"
        place = f"`{case.seen_in}`" if case.shown else case.seen_in
        yield f"| {case.wrong} | {place} | {said} |".replace("||", "\\|\\|")
    for wrong, why in cases.CALLS.values():
        yield f"| {wrong} | `{cases.APPLY}` of a pod, events | `{cases.FAILED_CALL}… {why}` |"


def _fields(schema: dict, path: str) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, inner in sorted(schema.get("properties", {}).items()):
        here = f"{path}.{name}"
        items = inner.get("items") if inner.get("type") == "array" else None
        kind = inner.get("type", "any")
        if items:
            kind, here = f"list of {items.get('type', 'any')}", f"{here}[]"
        if "enum" in inner:
            kind = " \\| ".join(str(value) for value in inner["enum"])
        text = " ".join(inner.get("description", "").split()).replace("|", "\\|")
        mark = " (required)" if name in required else ""
        yield f"| `{here}`{mark} | {kind} | {text} |"
        yield from _fields(items or inner, here)
        extra = inner.get("additionalProperties")
        if isinstance(extra, dict):
            yield from _fields(extra, f"{here}.*")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


PAGES = {
    "annotations.md": annotations,
    "troubleshooting.md": codes,
    "resources.md": resources,
    "breakages.md": breakages,
}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_says_what_the_code_says(name, update_golden):
    """Everything after the mark equals what the code gives."""
    path = DOCS / name
    head, mark, made = path.read_text().partition(MADE)
    wanted = "\n" + "\n".join(PAGES[name]()) + "\n"
    assert mark, f"{path} has no mark {MADE!r}"
    if update_golden:
        path.write_text(head + mark + wanted)
        made = wanted

    assert made == wanted
