"""`make bench`: every measurement in one run, as a table for people and JSON for comparison.

A bench is a module of this folder with `run() -> list[Figure]`. Figures are of one machine in one
moment: compare them within a run, and ratios between runs.
"""

import argparse
import importlib
import json
import platform
import sys
from pathlib import Path

from tests.bench.figure import Figure

BENCHES = ("fetch", "launcher", "parsing", "admission", "resolution", "fairness", "poison")
"""The small ones first: Linux counts the memory of who forks as a child's peak."""
RESULTS = Path("build/bench.json")


def main(argv=None):
    """Run the benches named, or all there are; with --strict, fail when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="BENCH", help=", ".join(BENCHES))
    parser.add_argument("--strict", action="store_true", help="exit 3 when a target is missed")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures are written")
    arguments = parser.parse_args(argv)

    figures = []
    for name in arguments.names or [name for name in BENCHES if exists(name)]:
        figures += importlib.import_module(f"tests.bench.{name}").run()
    sys.stdout.write(table(figures) + "\n")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(document(figures), indent=2) + "\n")
    missed = [figure.name for figure in figures if figure.is_met is False]
    return 3 if arguments.strict and missed else 0


def exists(name):
    """Say whether the bench is there."""
    return (Path(__file__).parent / f"{name}.py").exists()


def table(figures: list[Figure]):
    """Return the figures as aligned lines."""
    rows = [("figure", "value", "target", "")]
    rows += [(each.name, each.shown, each.target_shown, each.verdict) for each in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]}".rstrip()
        for row in rows
    )


def document(figures: list[Figure]):
    """Return the figures as data, with what they were measured on."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "figures": [each.document() for each in figures],
    }


if __name__ == "__main__":
    sys.exit(main())
