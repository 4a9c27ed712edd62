"""`secret set --expires`: a version of a local store that ends on a day."""

import json
from datetime import UTC, datetime, timedelta


def test_a_value_may_end_on_a_day(local):
    """History shows the day; the same value with another day is a new version."""
    day, later = (f"{datetime.now(UTC) + timedelta(days=n):%Y-%m-%d}" for n in (2, 3))

    first = local.secret("set", "shop/db", "--data", "k=v", "--expires", day)
    again = local.secret("set", "shop/db", "--data", "k=v", "--expires", day)
    other = local.secret("set", "shop/db", "--data", "k=v", "--expires", later)
    rotated = local.secret("rotate", "shop/db", "k", "--expires", day)
    history = json.loads(local.secret("history", "shop/db", "-o", "json").stdout)

    ends = [done.stderr.splitlines()[-1] for done in (first, again, other, rotated)]
    assert ends == [f"shop/db is at version {n}" for n in (1, 1, 2, 3)]
    assert [each["state"] for each in history] == [f"expires {d}" for d in (day, later, day)]


def test_a_day_that_has_come_is_refused_before_anything_is_asked(local):
    """Nobody would get the value."""
    done = local.secret("set", "shop/db", "k", "--expires", "2026-01-01", input="v", stdin=None)

    assert done.returncode == 2
    assert "--expires: 2026-01-01 is not in the future" in done.stderr
    assert local.secret("list").stdout == ""


def test_a_store_without_days_refuses_them(vault):
    """Nothing is written."""
    done = vault.secret("set", "kv/shop/db", "--data", "k=v", "--expires", "2999-01-01")

    assert done.returncode == 2
    assert "--expires: this store keeps no days on which values end" in done.stderr
    assert "hint: notAfter beside the value in a ServiceSecrets" in done.stderr
    assert vault.vault.v2 == {}
