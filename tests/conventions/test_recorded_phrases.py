"""Every phrase that tells a store's refusals apart was seen in an answer of a real server.

A phrase made from documentation, or from our own fake, explains nothing to anybody: each stands in
a recording (`tests/providers/recordings`), of our own making or published with its page.
"""

import ast
from pathlib import Path

import pytest

import injector.providers
from injector.providers.gcp import answers as gcp
from injector.providers.vault import answers as vault
from tests.providers.recorded import FOLDER, answer, recordings

PROVIDERS = Path(injector.providers.__file__).parent
TABLES = {
    "vault/answers.py": [
        *(
            (status, phrase)
            for status, meanings in vault.MEANINGS.items()
            for _, phrase, _ in meanings
        ),
        *((None, phrase) for phrase, _, _ in vault.LOGIN_REFUSALS),
    ],
    "gcp/answers.py": [(None, row[1]) for row in (*gcp.STATUSES, *gcp.EXCHANGE)],
}
"""Module → the status (None is any) and the phrase of each row that it looks for."""


def calls(path):
    """Yield what each call of `mentions` in a module asks for: a text, or None for a name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "mentions":
            (asked,) = node.args
            yield asked.value if isinstance(asked, ast.Constant) else None


def phrases():
    """Return every phrase as (module, status, phrase), those of tables and those in the code."""
    found = [(name, *row) for name, rows in TABLES.items() for row in rows if row[1]]
    for path in sorted(PROVIDERS.rglob("*.py")):
        name = str(path.relative_to(PROVIDERS))
        found += [(name, None, phrase) for phrase in calls(path) if phrase]
    return found


def recorded(module):
    """Return the recordings of a module's store, its own and the published ones."""
    store = module.partition("/")[0]
    return [
        recording
        for path in sorted(FOLDER.glob(f"{store}*.json"))
        for recording in recordings(path.stem).values()
    ]


@pytest.mark.parametrize(("module", "status", "phrase"), phrases())
def test_a_phrase_was_seen_in_a_real_answer(module, status, phrase):
    """With the status that the table has it under."""
    assert [
        recording
        for recording in recorded(module)
        if status in (None, recording["status"]) and answer(recording).mentions(phrase)
    ], f"no recording in {FOLDER.name}/ has {phrase!r}"


def test_a_module_that_looks_for_phrases_by_name_has_its_table_here():
    """A new table is held to the same."""
    looking = {
        str(path.relative_to(PROVIDERS))
        for path in PROVIDERS.rglob("*.py")
        if None in set(calls(path))
    }

    assert looking == set(TABLES)


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*-published.json")), ids=lambda path: path.stem
)
def test_a_published_answer_names_its_page(path):
    """So that anybody can look whether it is still what the vendor's server says."""
    pages = [recording["page"] for recording in recordings(path.stem).values()]

    assert [page for page in pages if not page.startswith("https://")] == []
