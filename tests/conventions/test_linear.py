"""Everything that reads text from outside takes time in proportion to its length.

Patterns are collected from the modules of both packages, and the source is checked for those that
could not be: a pattern that is not compiled once, at the top of a module, fails the first test.
Each pattern is driven by the way it is used, with runs, pairs and nests of what it is made of; each
entry point (tests/entry_points.py) with those of the characters that it treats specially.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from itertools import product
from pathlib import Path

import pytest

import injector
import webhook
from tests.effort import Endless, excess
from tests.entry_points import ENTRY_POINTS

ROOT = Path(injector.__file__).parent.parent
PACKAGES = (injector, webhook)
SEARCHING = ("search", "findall", "finditer", "sub", "subn", "split")
MATCHING = ("match", "fullmatch")
ENDS = ("", "\x00")
MAX_PAIRS = 16


def modules():
    """Yield every module of both packages; a module that runs when imported has no names."""
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def compiled():  # noqa: C901 (one case for each kind of place)
    """Return module.NAME → pattern, for every pattern in a module, a class or a collection."""
    found = {}

    def look(name, value, depth=0):
        if isinstance(value, re.Pattern):
            found[name] = value
        elif isinstance(value, dict) and depth < 3:
            for key, entry in value.items():
                look(f"{name}[{key!r}]", entry, depth + 1)
        elif isinstance(value, tuple | list | frozenset | set) and depth < 3:
            for index, entry in enumerate(value):
                look(f"{name}[{index}]", entry, depth + 1)
        elif inspect.isclass(value) and depth < 2 and value.__module__.startswith(PREFIXES):
            for key, entry in vars(value).items():
                look(f"{name}.{key}", entry, depth + 1)

    for module in modules():
        for name, value in vars(module).items():
            look(f"{module.__name__}.{name}", value)
    return found


PREFIXES = tuple(package.__name__ for package in PACKAGES)
PATTERNS = compiled()


def sources():
    """Yield path and syntax tree of every source file of both packages."""
    for package in PACKAGES:
        for path in sorted(Path(package.__path__[0]).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def _module(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _calls_of_re(tree):
    """Yield each use of the module `re`, and whether it stands in a function."""

    def walk(node, *, inside):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "re":
                yield node, inside
        for child in ast.iter_child_nodes(node):
            functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
            yield from walk(child, inside=inside or isinstance(child, functions))

    return walk(tree, inside=False)


def test_every_pattern_is_compiled_once_at_the_top_of_a_module():
    """Neither `re.fullmatch(...)` nor a pattern made in a function escapes the tests below."""
    wrong = []
    for path, tree in sources():
        place = path.relative_to(ROOT)
        wrong += [
            f"{place}:{node.lineno}: re.{node.func.attr}" + (" in a function" if inside else "")
            for node, inside in _calls_of_re(tree)
            if (node.func.attr != "compile" or inside) and node.func.attr != "escape"
        ]
        wrong += [
            f"{place}:{node.lineno}: from {node.module} import"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module in ("re", "sre_compile")
        ]
    assert not wrong


def test_every_pattern_that_the_source_compiles_is_collected():
    """As many as the text says: none hides in a place that nobody looks into."""
    for path, tree in sources():
        count = sum(node.func.attr == "compile" for node, _ in _calls_of_re(tree))
        module = _module(path)
        owned = [name for name in PATTERNS if name.rpartition(".")[0].startswith(module)]
        assert len(owned) >= count, f"{path}: {count} patterns, collected {owned}"


def _searched():
    """Return the names of patterns that are used to search: private ones with their module."""
    found = set()
    for path, tree in sources():
        module = _module(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in SEARCHING:
                owner = node.value.attr if isinstance(node.value, ast.Attribute) else None
                inner = {each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)}
                names = inner | ({owner} if owner else set())
                found |= {f"{module}.{name}" if name[0] == "_" else name for name in names}
    return found


SEARCHED = _searched()


def made_of(pattern):  # noqa: C901 (one case for each node of the syntax tree)
    """Return the texts that a pattern is made of: literals, their runs, one of each class."""
    found = {}
    parser = re._parser  # the only way to the literals of a pattern

    def walk(items):  # noqa: C901 (as above)
        run = ""
        for operation, argument in items:
            name = str(operation)
            if name == "LITERAL":
                run += chr(argument)
                found[chr(argument)] = None
                continue
            if len(run) > 1:
                found[run] = None
            run = ""
            if name == "NOT_LITERAL":
                found["a" if argument != ord("a") else "b"] = None
            elif name == "IN":
                members(argument)
            elif name == "BRANCH":
                for branch in argument[1]:
                    walk(branch)
            elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
                walk(argument[2])
            elif name in ("SUBPATTERN", "ATOMIC_GROUP"):
                walk(argument[-1] if name == "SUBPATTERN" else argument)
            elif name in ("ASSERT", "ASSERT_NOT"):
                walk(argument[1])
            elif name == "ANY":
                found["a"] = None
        if len(run) > 1:
            found[run] = None

    def members(items):
        for operation, argument in items:
            name = str(operation)
            if name == "LITERAL":
                found[chr(argument)] = None
            elif name == "RANGE":
                found[chr(argument[0])] = None
            elif name == "CATEGORY":
                found[" " if "SPACE" in str(argument) else "1"] = None
            elif name == "NEGATE":
                found["a"] = None

    walk(
        parser.parse(
            pattern.pattern,
            pattern.flags & ~re.UNICODE if bytes is type(pattern.pattern) else pattern.flags,
        )
    )
    return list(found)


def pieces(signs):
    """Return what runs are made of: the signs, and pairs of them."""
    pairs = [a + b for a, b in product(signs, signs) if a != b]
    step = max(1, len(pairs) // MAX_PAIRS)
    return [*signs, *pairs[::step]]


def runs(signs, openings, ends=ENDS):
    """Yield name and maker of each text: an opening, a run or a nest, an end."""
    for opening, piece, end in product(openings, pieces(signs), ends):
        yield f"{opening!r}+{piece!r}*n+{end!r}", _run(opening, piece, end)
    for opening, (one, other) in product(openings, product(signs, signs)):
        if one != other and one in "([{<\"'#$" and other in ")]}>\"'":
            yield f"{opening!r}+{one!r}*n+{other!r}*n", _nest(opening, one, other)


def _run(opening, piece, end):
    return lambda size: opening + piece * (size // len(piece)) + end


def _nest(opening, one, other):
    return lambda size: opening + one * (size // 2) + other * (size // 2)


def _assert_linear(work, texts):
    slow = []
    for name, make in texts:
        try:
            found = excess(work, make)
        except Endless:
            found = "it does not end"
        if found:
            slow.append(f"{name}: {found}")
    assert not slow, "\n".join(slow)


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_a_pattern_takes_time_in_proportion_to_the_text(name):
    """Matched at a place, or searched where the source searches with it."""
    pattern = PATTERNS[name]
    is_bytes = isinstance(pattern.pattern, bytes)
    bare = name.partition("[")[0]
    is_searched = bare in SEARCHED or bare.rpartition(".")[2] in SEARCHED

    def work(text):
        data = text.encode() if is_bytes else text
        pattern.fullmatch(data)
        if is_searched:
            for _ in pattern.finditer(data):
                pass

    literals = made_of(pattern)
    signs = literals[:12]
    openings = (
        "",
        "".join(each for each in literals if len(each) == 1)[:8],
        *[each for each in literals if len(each) > 1][:3],
    )
    _assert_linear(work, runs(signs, openings))


@pytest.mark.parametrize("name", sorted(ENTRY_POINTS))
def test_an_entry_point_takes_time_in_proportion_to_the_text(name):
    """Parsers, readers of objects and files, answers of providers, the whole decision."""
    point = ENTRY_POINTS[name]

    _assert_linear(point.read, runs(point.signs, point.openings, ends=("",)))


def test_what_is_quadratic_is_noticed():
    """The measure itself: a quadratic pattern, an endless one, and what is fine."""
    bad = re.compile(r"(?:a|b)*c")

    def search(text):
        bad.search(text)

    def hang(text):
        re.compile(r"(a+)+b").match(text)

    assert excess(search, lambda size: "a" * size)
    with pytest.raises(Endless):
        excess(hang, lambda size: "a" * size)
    assert excess(len, lambda size: "a" * size) is None
