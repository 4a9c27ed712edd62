"""Every example, checked on this machine by the commands that its reader has."""

from pathlib import Path

import pytest

from injector import cli

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())


@pytest.mark.parametrize("name", FOLDERS)
def test_the_example_has_nothing_to_find_fault_with(name, capsys):
    """`lint` reads every object of the folder and says nothing."""
    status = cli.run(["lint", "-f", str(EXAMPLES / name)])

    assert (status, *capsys.readouterr()) == (0, "", "")


@pytest.mark.parametrize(
    "cases", sorted(EXAMPLES.glob("*/cases.yaml")), ids=lambda p: p.parent.name
)
def test_the_policies_of_the_example_answer_its_cases(cases, capsys):
    """`policy test` passes every case of the folder, and there are some."""
    status = cli.run(["policy", "test", "--cases", str(cases), "-f", str(cases.parent)])

    *lines, last = capsys.readouterr().out.splitlines()
    assert (status, last) == (0, f"{len(lines)} passed, 0 failed")
    assert len(lines) >= 4


def test_there_are_examples_and_policies_to_check():
    """An empty folder would make the checks above say nothing."""
    assert len(FOLDERS) >= 6
    assert [p.parent.name for p in EXAMPLES.glob("*/cases.yaml")] == ["06-policy-pack"]
