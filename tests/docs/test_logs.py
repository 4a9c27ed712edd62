"""docs/logs.md lists every field that a line of the record has."""

import re
from pathlib import Path

from injector.visit import ReadFacts
from tests import asking
from tests.security.test_h_told import owned, recorded
from webhook.core import audit

PAGE = (Path(__file__).parents[2] / "docs" / "logs.md").read_text()


def named(text: str) -> set[str]:
    """Return the names that stand in the first column of the tables of a part of the page."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_field_of_a_reviews_line_is_documented():
    """An operator who reads a line finds each of its fields on the page, and no other."""
    part = PAGE.partition("## Who decided")[2].partition("\n## ")[0]
    watching = asking.policy("watch", action="Audit", rules={"keys": {"deny": ["A"]}})

    line, _ = recorded(owned({"env": "A: '#{vault:kv/a#b}'"}), asking.vault(), watching)

    assert named(part) == set(line) | {"endpoint", "took_ms", "foreign"}


def test_every_audit_annotation_is_documented():
    """The page has exactly the names that an answer can carry."""
    part = PAGE.partition("## The same")[2].partition("\n## ")[0]

    names = {name.removeprefix("pods.secret-injector.io/") for name in named(part)}

    assert names == {"outcome", "reason", *audit.ANNOTATED}


def test_every_field_of_a_fetchs_line_is_documented():
    """Store, place, identity and reads: what the account of a fetch consists of."""
    part = PAGE.partition("## Who read")[2]
    facts = set(ReadFacts.__annotations__) - {"path", "version", "code"}

    assert named(part) == facts | {"pod", "namespace", "reads"}
    assert {"path", "version", "code"} <= set(re.findall(r"`(\w+)`", part))
