"""What is committed works on every machine and can be read in one sitting."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

FOREIGN = {
    "the host of a package registry": re.compile(
        r"\b(pypi\.org/simple|files\.pythonhosted\.org|test\.pypi\.org|registry\.npmjs\.org"
        r"|(proxy|sum)\.golang\.org|--(extra-)?index-url|--trusted-host)\b"
    ),
    "a path of one machine": re.compile(
        r"(?<![\w.$}-])/(home/\w+|Users/\w+|work/\w+|root/\.\w+|opt/wheels|tmp/helpers)"
    ),
}
"""Registries are the choice of whoever installs, by pip's own configuration."""

"""A longer module is about two things: split it."""


def committed_files():
    """Return the tracked files that exist, as absolute paths."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def foreign_matter(text):
    """Return what in the text belongs to one machine or one registry, as sentences."""
    return [
        f"line {number} holds {what}"
        for number, line in enumerate(text.splitlines(), start=1)
        for what, pattern in FOREIGN.items()
        if pattern.search(line)
    ]


def test_foreign_matter_is_found():
    """Registry hosts and absolute paths of a machine are seen; web pages and mounts are not."""
    home, host = "/" + "home/someone/project", "https://" + "pypi.org/" + "simple"
    text = f"see https://pypi.org/project/hvac\n{host}\nmount: /var/run/secrets\ncd {home}\n"

    assert foreign_matter(text) == [
        "line 2 holds the host of a package registry",
        "line 4 holds a path of one machine",
    ]


def test_committed_files_name_no_registry_and_no_machine():
    """No committed text file names the host of a package registry or a path of one machine."""
    found = []
    for path in committed_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {problem}" for problem in foreign_matter(text)]

    assert found == []
