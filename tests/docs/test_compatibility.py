"""docs/compatibility.md says of each neighbour how it is known, and every test it names exists."""

import re
from pathlib import Path

import pytest

from tests.golden import record_neighbours
from webhook.core import sidecars

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "compatibility.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/.-]+)`", PAGE)))
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| neighbour ")
]


@pytest.mark.parametrize("path", [path for path in NAMED if not path.endswith("*")])
def test_every_test_that_the_page_names_exists(path):
    """A file of tests, or a golden case."""
    found = ROOT / path

    assert found.is_file() or (found / "pod.yaml").is_file()


def test_every_row_says_how_it_is_known():
    """By a test that is named, or by reading; nothing is claimed without."""
    cells = {neighbour: how for neighbour, _, _, how in ROWS}

    assert [
        name
        for name, how in cells.items()
        if not ((how.startswith("tested") and "`tests/" in how) or how == "by reading")
    ] == []
    assert len(cells) == len(ROWS) > 30


def test_every_kind_of_neighbour_has_its_table():
    """Somebody looks for their own."""
    headings = " ".join(re.findall(r"^## (.+)$", PAGE, re.MULTILINE)).lower()
    words = ("kubernetes", "meshes", "ci", "policy", "gitops", "autoscalers", "backup", "platforms")

    assert [word for word in words if word not in headings] == []


def test_every_injector_whose_containers_are_skipped_is_on_the_page():
    """The table of webhook/core/sidecars.py is what names them."""
    assert [row.owner for row in sidecars.KNOWN if row.owner.split(" (")[0] not in PAGE] == []


def test_every_recorded_pod_is_on_the_page_with_the_version_of_its_program():
    """A pod that is recorded anew takes its version along."""
    recorded = {path.parent.name for path in (ROOT / "tests/golden").glob("recorded-*/pod.yaml")}

    assert sorted(name for name in recorded if f"`tests/golden/{name}`" not in PAGE) == []
    assert f"Kyverno {record_neighbours.KYVERNO.removeprefix('v')}" in PAGE
    assert record_neighbours.ISTIO.split("-")[1].startswith("202608")
    assert "Istio of August 2026" in PAGE
