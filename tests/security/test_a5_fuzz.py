"""The kept inputs of the fuzz targets: each is read or refused, within the steps it may take."""

from pathlib import Path

import pytest

from injector.core import budget
from tests.entry_points import ENTRY_POINTS, EntryPoint
from tests.fuzz import feeding
from tests.fuzz.targets import C_TARGETS, TARGETS

CORPUS = Path(__file__).parent.parent / "fuzz" / "corpus"
KEPT = sorted(path for name in TARGETS for path in (CORPUS / name).iterdir())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_kept_input_gets_a_coded_answer(path):
    """What once was a finding, or leads the fuzzer into a parser."""
    feeding.feeder(path.parent.name)(path.read_bytes())


def test_every_target_has_a_corpus_and_every_entry_point_a_target():
    """Nothing that reads text from outside is left out by `make fuzz`."""
    assert {path.name for path in CORPUS.iterdir()} == {*TARGETS, *C_TARGETS}
    fuzzed = {name for names in TARGETS.values() for name in names}
    assert set(ENTRY_POINTS) == fuzzed


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (lambda text: text.index("\0"), ValueError),
        (lambda text: budget.spend(10**9), budget.OverBudget),
    ],
)
def test_what_is_no_coded_answer_and_what_passes_the_bound_is_noticed(read, fault, monkeypatch):
    """The harness itself: a foreign exception, and too many steps."""
    monkeypatch.setitem(ENTRY_POINTS, "plan", EntryPoint(read=read, signs=""))

    with pytest.raises(fault):
        feeding.feeder("plan")(b"\x00x")


def test_steps_count_even_where_the_refusal_is_swallowed(monkeypatch):
    """OverBudget is a refusal like others, and readers may catch those."""

    def read(text):
        try:
            budget.spend(10**9)
        except budget.OverBudget:
            return

    monkeypatch.setitem(ENTRY_POINTS, "plan", EntryPoint(read=read, signs=""))

    with pytest.raises(AssertionError, match="took more steps than they may"):
        feeding.feeder("plan")(b"\x00x")
