"""Golden cases of files: manifests in, what `lint` and `mutate` say of them out, word for word.

A case is a folder with manifests.yaml; lint.txt and mutate.txt hold standard output, standard error
and the exit status. `make golden` writes them anew; the diff is the review.
"""

from pathlib import Path

import pytest

from injector import cli

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/manifests.yaml"))


@pytest.mark.parametrize("command", ["lint", "mutate"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_command_says_is_what_is_on_record(
    case, command, update_golden, capsys, monkeypatch
):
    """Findings with their lines, decisions with their places, and what was not looked at."""
    monkeypatch.chdir(case)
    status = cli.run([command, "-f", "manifests.yaml"])
    out, err = capsys.readouterr()
    found = f"{out if command == 'lint' else ''}--- standard error\n{err}--- status {status}\n"

    record = case / f"{command}.txt"
    if update_golden:
        record.write_text(found)
    assert found == record.read_text()


def test_there_are_cases():
    """An empty folder would pass without a word."""
    assert len(CASES) >= 2
