"""The wall time and memory of `fetch`: what a pod waits for, relative to an empty Python.

Stores: `k8s` and `local` from files, a real Vault on loopback, in the open and over TLS, and the
clouds as the tests have them. Each round runs every case once, so drift meets all alike; the median
of the rounds is reported.
"""

import shutil
import statistics
import tempfile
from pathlib import Path

import pyrage

from injector import local_file, local_format
from injector.core import plan_codec, stores
from injector.core.plan import ContainerPlan, EnvItem, Pick, Plan, PlanStore, PlanValue, Read
from injector.settings import FetchSettings
from tests.bench import clouds, vault
from tests.bench.figure import Figure
from tests.bench.interpreters import Interpreter, Program, found, timed
from webhook.core import our_container

ROUNDS = 15
AGENT_READS = 10
TARGETS = {"k8s": (3.0, 45.0), "local": (3.0, 45.0), "aws": (12.0, 64.0)}
"""The first word of a case → the most it may take: of `pass`, and MiB."""
TARGETS_BY_HTTP = (6.0, 45.0)

PLACES = ("VOLUME_DIR", "ENV_DIR", "SOURCES_DIR", "TERMINATION_LOG")

BASE, AGENT = "pass", "Vault's agent, 10 reads"


def run() -> list[Figure]:
    """Return for each interpreter and case the ratio to `pass`, and the peak of memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("vault", "clouds"):
            (folder / each).mkdir()
        with (
            vault.running(folder / "vault") as server,
            clouds.running(folder / "clouds") as definitions,
        ):
            plans = {**plans_of_files(folder / "sources"), **plans_of_servers(server, definitions)}
            give_secret_id(server, folder / "sources")
            shutil.copytree(folder / "clouds/sources", folder / "sources", dirs_exist_ok=True)
            programs = {("", AGENT): server.agent(AGENT_READS)}
            for each in found(folder):
                programs.update(cases(each, plans, folder))
            results = {key: [] for key in programs}
            for _ in range(ROUNDS):
                for key, program in programs.items():
                    results[key].append(timed(program))
    return figures(results)


def cases(interpreter: Interpreter, plans: dict[str, str], folder: Path):
    """Return what to run under the interpreter."""
    root, env, user = interpreter.root, interpreter.env, None
    if root is None:
        places = {name: folder / "bench" / name.lower() for name in PLACES}
        env = {**env, **{f"SECRET_INJECTOR_{name}": str(at) for name, at in places.items()}}
    else:
        # What a pod has mounted where; the launcher lets nobody say otherwise.
        defaults, user = FetchSettings(plan=""), our_container.GROUP
        there = {name: getattr(defaults, name.lower()) for name in PLACES}
        places = {name: root / path.relative_to("/") for name, path in there.items()}
    for name in ("VOLUME_DIR", "ENV_DIR"):
        places[name].mkdir(parents=True)
        places[name].chmod(0o777)
    shutil.copytree(folder / "sources", places["SOURCES_DIR"])
    places["TERMINATION_LOG"].parent.mkdir(exist_ok=True)
    places["TERMINATION_LOG"].touch()
    places["TERMINATION_LOG"].chmod(0o666)
    made = {}
    bare = (*interpreter.argv, "-c", "pass")
    made[interpreter.name, BASE] = Program(argv=bare, root=root, user=user)
    for title, plan in plans.items():
        made[interpreter.name, title] = Program(
            argv=interpreter.fetch,
            env={**env, our_container.PLAN_VARIABLE: plan},
            root=root,
            user=user,
        )
    if root is not None:
        through = made[interpreter.name, "k8s"]
        made[interpreter.name, "k8s, not through the launcher"] = Program(
            argv=(*interpreter.command, "fetch"),
            env={**interpreter.env, **through.env},
            root=root,
            user=user,
        )
    return made


def figures(results) -> list[Figure]:
    """Return the medians as ratios; the base's time is there to repeat them."""
    ms = {key: statistics.median(run.ms for run in runs) for key, runs in results.items()}
    image = "image" if ("image", BASE) in ms else "3.11"
    made = []
    for (interpreter, title), value in ms.items():
        if title == BASE:
            made.append(Figure(name=f"python -c pass [{interpreter}]", value=value, unit="ms"))
            continue
        name = f"fetch [{interpreter}]: {title}" if interpreter else title
        most, most_mib = TARGETS.get(title.partition(" ")[0], TARGETS_BY_HTTP)
        if interpreter != "image":
            most = most_mib = None
        ratio = value / ms[interpreter or image, BASE]
        made.append(Figure(name=name, value=ratio, unit="x pass", at_most=most))
        peak = max(run.peak_mib for run in results[interpreter, title])
        made.append(Figure(name=f"{name}, peak", value=peak, unit="MiB", at_most=most_mib))
    ours = ms[image, f"vault, {vault.SECRETS} reads"]
    name = f"fetch, {vault.SECRETS} reads, to {AGENT}"
    return [*made, Figure(name=name, value=ours / ms["", AGENT], unit="x", at_most=1.0)]


def plans_of_files(sources: Path) -> dict[str, str]:
    """Return the encoded plans of stores without a server; what they read is put below sources."""
    identity = pyrage.x25519.Identity.generate()
    secrets = local_format.put(
        local_format.EMPTY, "app0", {"key": "value"}, created="2026-01-01T00:00:00Z"
    )
    files = {
        "configmaps/values/values.age": local_file.encrypt(secrets, [str(identity.to_public())]),
        "secrets/identity/identity": str(identity).encode(),
        "secrets/app0/key": b"value",
    }
    for path, data in files.items():
        target = sources / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    reference = {"configMapRef": {"name": "values", "key": "values.age"}}
    local = {"file": reference, "identity": {"secretRef": {"name": "identity", "key": "identity"}}}
    return {"k8s": encoded({"k8s": {}}, "app", 1), "local": encoded({"local": local}, "app", 1)}


def plans_of_servers(server: vault.DevVault, definitions) -> dict[str, str]:
    """Return the encoded plans of the other stores: of one read each, and of many."""
    stores_of = {
        "vault": (server.store(is_tls=False), "secret/app"),
        "vault by TLS": (server.store(is_tls=True), "secret/app"),
        **{title: (document, "app") for title, document in definitions.items()},
    }
    made = {}
    for title, (document, path) in stores_of.items():
        made[f"{title}, 1 read"] = encoded(document, path, 1)
        made[f"{title}, {vault.SECRETS} reads"] = encoded(document, path, vault.SECRETS)
    return made


def give_secret_id(server: vault.DevVault, sources: Path) -> None:
    """Write what logs in to Vault where its store looks for it."""
    target = sources / "secrets/approle/secret-id"
    target.parent.mkdir(parents=True)
    target.write_text(server.secret_id)


def encoded(document, path: str, count: int) -> str:
    """Return a plan that makes a variable of each of so many secrets, named by their number."""
    name = next(iter(document)).lower()
    paths = [f"{path}{index}" for index in range(count)]
    values = tuple(
        PlanValue(parts=(Pick(read=index, field="key"),), key=f"KEY{index}", origin="bench")
        for index in range(len(paths))
    )
    env = tuple(EnvItem(name=f"KEY{index}", value=index) for index in range(len(paths)))
    return plan_codec.encode(
        Plan(
            namespace="bench",
            service_account="bench",
            stores=(PlanStore(name=name, document=stores.canonical(document)),),
            reads=tuple(Read(store=0, path=path) for path in paths),
            values=values,
            containers=(ContainerPlan(name="app", env=env),),
        )
    )
