"""Whoever copies a reference from a page is told on that page that YAML wants it quoted."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs/stores").glob("*"),
    )
    # The table of breakages holds the sentence wherever kubectl says it.
    if "#{" in path.read_text() and path.name != "breakages.md"
)
REASON = re.compile(r"an\s+unquoted\s+`?#`?\s+begins\s+a\s+comment", re.IGNORECASE)
BARE = re.compile(r"^\s*(?:- )?[\w.-]+:\s+(?:[^'\"#\s|>&{\[][^'\"#]*)?#\{", re.MULTILINE)
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_that_shows_a_reference_says_once_why_to_quote_it(page):
    """One sentence, wherever a reader comes in."""
    assert len(REASON.findall(page.read_text())) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_of_yaml_shows_a_reference_without_quotes(page):
    """What is pasted works."""
    for block in YAML.findall(page.read_text()):
        assert not BARE.search(block)
