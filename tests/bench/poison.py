"""Start with 10,000 services: until ready, without and with a hundred that are made to be dear."""

import os
import tempfile
import time
from pathlib import Path

from tests.bench import resolution
from tests.bench.figure import Figure
from tests.bench.interpreters import found
from tests.bench.serving import peak_of, served

SERVICES, POISON = 10_000, 100


def run():
    """Return the figures."""
    ordinary = [resolution.service(number) for number in range(SERVICES)]
    poison = [*ordinary[POISON:], *map(dear, range(POISON))]
    sound_s, sound_mib = started(ordinary)
    poisoned_s, poisoned_mib = started(poison)
    return [
        Figure(name="start/10,000 services", value=sound_s, unit="s"),
        Figure(name="start/memory, peak", value=sound_mib, unit="MiB"),
        Figure(name="start/100 of them dear", value=poisoned_s, unit="s"),
        Figure(name="start/memory, peak, 100 dear", value=poisoned_mib, unit="MiB"),
        Figure(name="start/dear to sound", value=poisoned_s / sound_s, unit="x", at_most=1.5),
    ]


def dear(number):
    """Return a service that is legal to the schema, and dear to read in one of several ways."""
    kinds = (
        {f"K{n}": "#{vault:a/b#c|urlencode}" * 120 for n in range(512)},
        {f"K{n}": {"value": "x", "matches": "(a|b|c){1,9}" * 20} for n in range(512)},
        {"K": "#" * 32_768},
        {f"K{n}": "#{" * 1450 for n in range(512)},
        {f"K{n}": "#{A}" * 700 for n in range(512)},
    )
    metadata = {"name": f"dear-{number}", "namespace": "shop"}
    return {"metadata": metadata, "spec": {"env": kinds[number % len(kinds)]}}


def started(services):
    """Return how long the process takes until it is ready, and the most memory it had."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        here, *_ = found(Path(name) / "image")
        with served(here, Path(name), cores[0], services) as server:
            return time.monotonic() - server.begun_s, peak_of(server.pid)
