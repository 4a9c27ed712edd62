"""The wall time and memory of `fetch`: what a pod waits for, relative to an empty Python.

Stores: `k8s` and `local` from files, and a real Vault on loopback, in the open and over TLS. Each
round runs every case once, so drift meets all alike; the median of the rounds is reported.
"""

import statistics
import tempfile
from pathlib import Path

import pyrage

from injector import local_file, local_format
from injector.core import plan_codec, stores
from injector.core.plan import ContainerPlan, EnvItem, Pick, Plan, PlanStore, PlanValue, Read
from tests.bench import vault
from tests.bench.figure import Figure
from tests.bench.interpreters import Interpreter, Program, found, timed

ROUNDS = 15
AGENT_READS = 10
TARGETS = {"k8s": 3.0, "local": 3.0}
TARGET_OF_VAULT = 6.0
MAX_MIB = 45

BASE, AGENT = "pass", "Vault's agent, 10 reads"


def run() -> list[Figure]:
    """Return for each interpreter and case the ratio to `pass`, and the peak of memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "vault").mkdir()
        with vault.running(folder / "vault") as server:
            programs = {("", AGENT): server.agent(AGENT_READS)}
            for each in found(folder):
                programs.update(cases(each, server, folder))
            results = {key: [] for key in programs}
            for _ in range(ROUNDS):
                for key, program in programs.items():
                    results[key].append(timed(program))
    return figures(results)


def cases(interpreter: Interpreter, server: vault.DevVault, folder: Path):
    """Return what to run under the interpreter."""
    root = interpreter.root
    place = (root / "tmp" if root else folder) / "bench"
    place.mkdir()
    inside = interpreter.inside(place)
    env = {
        "SECRET_INJECTOR_VOLUME_DIR": f"{inside}/volume",
        "SECRET_INJECTOR_ENV_DIR": f"{inside}/env",
        "SECRET_INJECTOR_SOURCES_DIR": f"{inside}/sources",
        "SECRET_INJECTOR_TERMINATION_LOG": f"{inside}/termination",
        **interpreter.env,
    }
    for name in ("volume", "env"):
        (place / name).mkdir()
    made = {}
    made[interpreter.name, BASE] = Program(argv=(*interpreter.argv, "-c", "pass"), root=root)
    for title, plan in plans(server, place / "sources").items():
        made[interpreter.name, title] = Program(
            argv=(*interpreter.command, "fetch"),
            env={**env, "SECRET_INJECTOR_PLAN": plan},
            root=root,
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
        is_judged = interpreter == "image"
        target = TARGETS.get(title, TARGET_OF_VAULT) if is_judged else None
        ratio = value / ms[interpreter or image, BASE]
        made.append(Figure(name=name, value=ratio, unit="x pass", at_most=target))
        peak = max(run.peak_mib for run in results[interpreter, title])
        limit = MAX_MIB if is_judged else None
        made.append(Figure(name=f"{name}, peak", value=peak, unit="MiB", at_most=limit))
    ours = ms[image, f"vault, {vault.SECRETS} reads"]
    name = f"fetch, {vault.SECRETS} reads, to {AGENT}"
    return [*made, Figure(name=name, value=ours / ms["", AGENT], unit="x", at_most=1.0)]


def plans(server: vault.DevVault, sources: Path) -> dict[str, str]:
    """Return the encoded plan of each case; what they read is put where they look for it."""
    identity = pyrage.x25519.Identity.generate()
    secrets = local_format.put(
        local_format.EMPTY, "app", {"key": "value"}, created="2026-01-01T00:00:00Z"
    )
    files = {
        "configmaps/values/values.age": local_file.encrypt(secrets, [str(identity.to_public())]),
        "secrets/identity/identity": str(identity).encode(),
        "secrets/approle/secret-id": server.secret_id.encode(),
        "secrets/app/key": b"value",
    }
    for path, data in files.items():
        target = sources / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    reference = {"configMapRef": {"name": "values", "key": "values.age"}}
    local = {"file": reference, "identity": {"secretRef": {"name": "identity", "key": "identity"}}}
    many = [f"secret/app{index}" for index in range(vault.SECRETS)]
    plain, tls = server.store(is_tls=False), server.store(is_tls=True)
    return {
        "k8s": encoded({"k8s": {}}, ["app"]),
        "local": encoded({"local": local}, ["app"]),
        "vault, 1 read": encoded(plain, many[:1]),
        f"vault, {vault.SECRETS} reads": encoded(plain, many),
        "vault by TLS, 1 read": encoded(tls, many[:1]),
        f"vault by TLS, {vault.SECRETS} reads": encoded(tls, many),
    }


def encoded(document, paths) -> str:
    """Return a plan that makes one variable of each path."""
    values = tuple(
        PlanValue(parts=(Pick(read=index, field="key"),), key=f"KEY{index}", origin="bench")
        for index in range(len(paths))
    )
    env = tuple(EnvItem(name=f"KEY{index}", value=index) for index in range(len(paths)))
    return plan_codec.encode(
        Plan(
            namespace="bench",
            service_account="bench",
            stores=(PlanStore(name="store", document=stores.canonical(document)),),
            reads=tuple(Read(store=0, path=path) for path in paths),
            values=values,
            containers=(ContainerPlan(name="app", env=env),),
        )
    )
