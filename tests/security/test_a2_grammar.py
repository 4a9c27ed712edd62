"""A2: a value costs no more than its length, in a pod, in an object and when written back."""

import subprocess
import sys

import pytest

from injector.core import grammar, reference
from tests import asking
from tests.effort import cpu_s
from webhook.core import resources
from webhook.core.catalog import Catalog

KIB = 1024
PIECES = [
    *'#{}"\\|(,:@$/ a', "##{", "#{", "#{a}", "#{}", '#{a:"', '#{a:"}', "#{a|", "#{a|trim", "|trim",
    '#{a|default("', '"",', "#{$", "#{@", "{#", "#{#", "#}", "#{a:b#", "#{a:b@", "#{a:/", "#{a:b#/",
    "~0", "#{a|trimm}",
]  # fmt: skip


def parsed(text):
    """Parse and write back, whatever becomes of it."""
    grammar.has_expression(text)
    try:
        value = grammar.parse(text)
    except grammar.GrammarError:
        return
    reference.format_value(value)


@pytest.mark.parametrize("opening", ["", "#{a:b", '#{a:"', "#{a|default("])
@pytest.mark.parametrize("piece", PIECES)
def test_64_kib_of_anything_cost_less_than_50_ms(piece, opening):
    """The reported run of # took 13.6 s."""
    text = (opening + piece * (64 * KIB // len(piece)))[: 64 * KIB]

    assert cpu_s(lambda: parsed(text), runs=3) < 0.05


def test_values_are_written_back_in_linear_time():
    """Hashes are doubled before a brace, and nowhere else."""
    for text in ("#" * 64 * KIB, "# " * 32 * KIB, "#{" * 32 * KIB, "{" * 64 * KIB):
        assert cpu_s(lambda text=text: reference.format_value((text,)), runs=3) < 0.05


def test_eight_objects_of_32_kb_are_read_in_no_time():
    """Legal by their schema, they delayed the start of every replica by 45 s."""
    run = "#" * 32_000
    objects = [asking.service("evil", f"s{at}", {"A": run}) for at in range(8)]

    assert cpu_s(lambda: Catalog.of(objects), runs=2) < 0.1


@pytest.mark.parametrize(
    "entry",
    [
        {"value": "x", "matches": "a{1000}"},
        {"value": "x", "matches": "(?:(?:){100}){100}"},
        {"value": "x", "matches": "(" * 30 + "a{9}" + "){9}" * 30},
        {"value": "#{a|defualt}"},
        {"value": "x", "required": "?", "defualt": "", "mathces": ""},
        {"nothing": "x"},
    ],
)
def test_an_object_of_as_many_keys_as_allowed_costs_little_whatever_they_hold(entry):
    """Patterns are measured and not built; words are compared for the first problems alone."""
    raw = asking.service("evil", "s", {f"K{at}": entry for at in range(512)})

    assert cpu_s(lambda: resources.service(raw), runs=3) < 0.3


DEEP = {"lists": "- " * 200_000, "flow": "[" * 200_000, "mappings": "{a: " * 100_000}


@pytest.mark.parametrize("command", ["lint", "explain", "mutate", "policy test", "kubeconfig"])
@pytest.mark.parametrize("name", DEEP)
def test_a_command_refuses_a_file_of_endless_nesting(name, command, tmp_path):
    """Exit status 2 and a line, not a segmentation fault."""
    file = tmp_path / "deep.yaml"
    file.write_text(DEEP[name])
    arguments = {
        "policy test": ["policy", "test", "--cases", str(file), "-f", str(tmp_path)],
        "kubeconfig": ["lint", "--kubeconfig", str(file)],
    }.get(command, [command, "-f", str(file)])

    ended = subprocess.run(
        [sys.executable, "-m", "injector", *arguments], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "SI-201" in ended.stderr
