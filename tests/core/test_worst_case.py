"""The worst that a tenant can write ends soon: work is counted, whatever its text is.

The bounds are on values, steps and problems; the clock is only there to notice what was forgotten.
"""

import json
import subprocess
import sys
import time

import pytest

from tests import asking
from tests.asking import service
from webhook.core import evaluation, memo
from webhook.core.catalog import Catalog

SAFETY_NET_S = 5.0
KIB = 1024


def _many(count, text):
    return "".join(f"K{at}: {text}\n" for at in range(count))


CIRCLES = [
    service(
        "shop", f"s{at}", {"__import_svc": [f"$s{other}" for other in range(20) if other != at]}
    )
    for at in range(20)
]
DIAMOND = [
    service(
        "shop",
        "app",
        {"A0": "#{k8s:a#x}", **{f"A{n + 1}": f"#{{A{n}}}#{{A{n}}}" for n in range(20)}},
    )
]
LATTICE = [
    service("shop", "app", {"__import_svc": [f"$l0x{m}" for m in range(9)]}),
    *(
        service(
            "shop",
            f"l{level}x{at}",
            {"__import_svc": [f"$l{level + 1}x{m}" for m in range(9)]} if level < 6 else {"A": "x"},
        )
        for level in range(7)
        for at in range(9)
    ),
]
MANY = [
    service("shop", "app", {"__import_svc": [f"$m{at}" for at in range(64)]}),
    *(
        service(
            "shop", f"m{at}", {"__import_svc": [f"$m{n}" for n in range(at * 64, at * 64 + 64)]}
        )
        for at in range(10_000 // 64)
    ),
]

ANNOTATIONS = {
    "deep block list": {"env": "- " * 50_000},
    "deep flow list": {"env": "[" * 100_000},
    "deep mapping": {"env": "{a: " * 50_000},
    "complex keys": {"env": "? " * 50_000},
    "alias bomb": {
        "env": "a: &a [x,x,x,x]\n" + "".join(f"b{n}: &b{n} [*a,*a,*a]\n" for n in range(30))
    },
    "references to nothing": {"env": _many(400, '"' + "#{Z}" * 60 + '"')},
    "near misses": {
        "env": _many(256, "x") + "".join(f'L{at}: "#{{K{at}x}}"\n' for at in range(256))
    },
    "filters misspelt": {"env": _many(500, '"' + "#{A|defualt}" * 30 + '"')},
    "one long value": {"env": "A: " + "#{" * 60_000},
    "quotes": {"env": "A: '" + '#{a:"' * 20_000 + "'"},
    "names of half the length": {"env": "".join(f"{'A' * 127}{at}: x\n" for at in range(500))},
    "files in folders": {"files": "".join(f"f{at}/a/b/c: x\n" for at in range(512))},
    "files in one another": {"files": "".join("a/" * at + "a: x\n" for at in range(8)) * 1},
    "files everywhere": {"files": "".join(f"/s/{'d/' * 12}{at}: x\n" for at in range(512))},
    "folders of containers": {f"files_path.c{at}": "/a" * 200 for at in range(500)},
    "overrides": {"env": "".join(f"K{at}: {{value: x, override: perhaps}}\n" for at in range(500))},
    "unknown annotations": {f"x{at}": "" for at in range(5000)},
    "long setting": {"env_mode": "n" * 256 * KIB, "files_path": "/a" * 128 * KIB},
    "long chain": {"env": _many(1, "x") + "".join(f'K{n + 1}: "#{{K{n}}}"\n' for n in range(500))},
    "containers named": {"containers": ",".join(f"c{at}" for at in range(20_000))},
}


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_the_worst_annotation_ends_in_an_answer_soon(name):
    """Few problems, whatever is wrong how often."""
    pod = asking.pod(ANNOTATIONS[name])
    begun = time.process_time()

    decided = asking.outcome(pod)

    assert time.process_time() - begun < SAFETY_NET_S
    assert decided.kind in ("inject", "deny")
    assert len(decided.problems) <= 3 * evaluation.MAX_PROBLEMS


CLUSTERS = {
    "everybody imports everybody": (CIRCLES, "s0", "deny"),
    "a diamond of twenty floors": (DIAMOND, "app", "inject"),
    "a lattice of seven floors": (LATTICE, "app", "inject"),
    "ten thousand imports": (MANY, "app", "deny"),
}


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_worst_graph_of_imports_ends_in_an_answer_soon(name):
    """Each object is worked out once, however many ways lead to it."""
    objects, start, kind = CLUSTERS[name]
    catalog = Catalog.of(objects)
    begun = time.process_time()

    decided = asking.outcome(asking.pod({"service": start}), catalog=catalog)

    assert time.process_time() - begun < SAFETY_NET_S
    assert decided.kind == kind, decided.problems
    assert len(decided.problems) <= 3 * evaluation.MAX_PROBLEMS
    worked_out = [key for key in catalog.memo if key[0] == "effective"]
    assert len(worked_out) <= 65


def test_a_diamond_of_two_to_the_twentieth_costs_one_value_a_floor():
    """Twenty floors, each of which uses the one below twice: 21 values."""
    decided = asking.outcome(asking.pod({"service": "app"}), *DIAMOND)

    assert decided.facts["variables"] == 21
    assert decided.facts["plan_bytes"] < 2 * KIB


def test_keys_of_all_containers_are_evaluated_once():
    """A hundred containers with one wish share its values."""
    pod = asking.pod({"env": _many(100, '"#{k8s:a#x}"')})
    app = pod["spec"]["containers"][0]
    pod["spec"]["containers"] = [{**app, "name": f"c{at}"} for at in range(100)]

    decided = asking.outcome(pod)

    assert (decided.kind, decided.facts["variables"], decided.facts["reads"]) == (
        "inject",
        10_000,
        1,
    )


def test_a_pod_of_too_many_containers_is_denied_before_work_begins():
    """A request holds a hundred thousand small containers; the API server counts them after us."""
    pod = asking.pod({"env": "A: x"})
    pod["spec"]["containers"] = [{"name": f"c{at}", "image": "x"} for at in range(50_000)]
    begun = time.process_time()

    decided = asking.outcome(pod)

    assert time.process_time() - begun < SAFETY_NET_S
    assert asking.codes(decided) == ["SI-117"]


def test_what_is_remembered_stays_within_its_bound():
    """Ten thousand different pods of a hostile tenant do not fill the memory."""
    catalog = Catalog()
    for at in range(1500):
        text = json.dumps({"A": f"{at}" + "x" * 20_000})
        asking.outcome(asking.pod({"env": text}), catalog=catalog)

    assert 0 < catalog.decisions._bytes <= memo.MAX_BYTES
    assert len(catalog.decisions._outcomes) < 1500


def test_yaml_that_recurses_in_the_library_does_not_end_the_process():
    """Libyaml's composer has no limit of its own: the shape is checked before it is called."""
    code = (
        "from webhook.core import yamltext\n"
        "try: yamltext.parse('- ' * 200_000)\n"
        "except yamltext.YamlSlip as slip: print(slip)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (
        0,
        "line 1, column 15: nested more than 8 deep\n",
    )


def _floors(count, wide):
    """Return services of as many namespaces, each of which uses all of the next floor."""
    exports = [{"to": {"namespaces": ["*"]}, "keys": ["*"]}]
    return [
        service(
            f"n{floor}x{at}",
            "s",
            {"A": "".join(f"#{{$s.n{floor + 1}x{to}/A}}" for to in range(wide)) or "x"}
            if floor < count - 1
            else {"A": "x"},
            exports=exports,
        )
        for floor in range(count)
        for at in range(wide)
    ]


@pytest.mark.parametrize(("floors", "wide"), [(8, 2), (8, 20), (60, 2), (60, 30)])
def test_ways_through_other_namespaces_end_in_an_answer_soon(floors, wide):
    """Each way through foreign services is a chain of its own, and there are few of them."""
    pod = asking.pod({"env": 'A: "#{$s.n0x0/A}"'})
    begun = time.process_time()

    decided = asking.outcome(pod, *_floors(floors, wide))

    assert time.process_time() - begun < SAFETY_NET_S
    assert decided.kind == ("inject" if (floors, wide) == (8, 2) else "deny")
