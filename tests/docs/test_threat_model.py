"""docs/threat-model.md claims nothing without a test, and every test that it names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| [STRIDE](, [STRIDE])* \|", line)]
ACTORS = (
    "tenant",
    "exporter",
    "neighbour",
    "value author",
    "rogue store",
    "second webhook",
    "later editor",
    "log reader",
    "supply chain",
)


@pytest.mark.parametrize(("path", "test"), NAMED)
def test_every_test_that_the_page_names_exists(path, test):
    """A renamed test takes its row along."""
    text = (ROOT / path).read_text()

    assert not test or re.search(rf"^(async )?def {test}\(", text, re.MULTILINE)


def test_every_threat_names_its_test():
    """A row without a test is a wish."""
    assert [row for row in ROWS if "`tests/" not in row.split("|")[4]] == []
    assert len(ROWS) > 30


def test_every_actor_has_a_section():
    """The page looks at the system through the eyes of each of them."""
    headings = " ".join(re.findall(r"^## (.+)$", PAGE, re.MULTILINE)).lower()

    assert [actor for actor in ACTORS if actor not in headings] == []


def test_every_letter_of_stride_is_met():
    """No kind of threat is left out on the page as a whole."""
    assert {letter for row in ROWS for letter in row.split("|")[1] if letter.isalpha()} == set(
        "STRIDE"
    )


def test_every_group_of_security_tests_is_on_the_page():
    """Files in tests/security prove rows of the page: of `test_a2_*`, one at least is named."""
    groups = {path.stem.split("_")[1] for path in (ROOT / "tests/security").glob("test_*.py")}
    named = {path.split("_")[1].removesuffix(".py") for path, _ in NAMED if "security/" in path}

    assert sorted(groups - named) == []
