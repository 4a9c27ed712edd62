"""`secret-injector demo`: one injection from annotation to process, on this machine, nothing faked.

The values are made up anew each time. They must turn up in the application and nowhere else: at the
end everything that was printed, logged or sent is searched for them, and a find is a failure.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import pyrage
import yaml

from injector.core import errors, plan_codec
from injector.core.errors import Problem, Refused
from injector.core.plan import Pick, Plan, Use
from webhook.commands import mutate, rehearsal
from webhook.commands.rehearsal import Pod, Webhook
from webhook.commands.story import Story
from webhook.core import jsonpatch
from webhook.core.our_container import PLAN_VARIABLE

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "01-hello"

EXAMPLES = """\b
Examples:
  secret-injector demo
  secret-injector demo | less -R
"""


@click.command("demo", epilog=EXAMPLES)
def _command() -> int:
    """Show an injection on this machine, without a cluster.

    Makes an encrypted store, asks the real webhook over TLS, carries its patch out with the real
    fetcher and launcher, and shows what the application got. Fails if a value shows up elsewhere.
    """
    story, launcher = Story(), _launcher()
    made = {name: secrets.token_urlsafe(18) for name in ("user", "password", "token", "licence")}
    made["password"] += "@/'\" $(HOME)"  # what passwords are made of, and what shells choke on
    outputs: list[str] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secret-injector-")))
        folder.chmod(0o700)
        sources = _store(story, made)
        manifest = (EXAMPLE / "pod.yaml").read_text()
        pod = yaml.safe_load(manifest)
        objects = (EXAMPLE / "store.yaml").read_text()

        story.step("The webhook, over TLS, as the API server would call it")
        story.line(f"   {EXAMPLE.relative_to(ROOT)}/pod.yaml asks for")
        story.block("\n".join(line.strip() for line in manifest.splitlines() if "#{" in line))
        webhook = Webhook(folder, objects)
        stack.callback(lambda: outputs.append(webhook.stop()))
        body, ms = webhook.review(pod)
        outputs.append(body.decode())
        injected = _injected(story, pod, body, ms)

        running = Pod(folder / "pod", injected["spec"], launcher)
        running.mount(sources)
        _deliver(story, running, outputs)
        _application(story, running, injected, made)
        _refused(story, webhook, pod, outputs)
        outputs.append(webhook.stop())
        outputs.append(running.termination_log.read_text())
    return searched(story, outputs, made)


def main(argv: Sequence[str]) -> int:
    """Run the command; raises what kept it from its end."""
    name = "secret-injector demo"
    return int(_command.main(list(argv), prog_name=name, standalone_mode=False) or 0)


def _launcher() -> Path:
    """Return the static launcher; raises Refused where it or the example is not at hand."""
    launcher = Path(os.environ.get("SECRET_INJECTOR_LAUNCHER", ROOT / "build" / "launcher"))
    for path in (launcher, EXAMPLE):
        if not path.exists():
            what = f"{path} is not there"
            hint = "run make demo in a checkout of the project"
            raise Refused([Problem(code=errors.ARGUMENT, what=what, hint=hint)])
    return launcher


def _store(story: Story, made: Mapping[str, str]) -> dict[str, bytes]:
    """Make the stores; return what the kubelet would project of them."""
    story.step("Two stores: a file encrypted with age, and a Secret of the pod's namespace")
    identity = pyrage.x25519.Identity.generate()
    stored = {
        "hello/db": _first_version(user=made["user"], password=made["password"]),
        "hello/api": _first_version(token=made["token"]),
    }
    content = json.dumps({"format": 1, "secrets": stored}).encode()
    encrypted: bytes = pyrage.encrypt(content, [identity.to_public()], armored=True)
    story.done(f"{len(stored)} secrets in {len(encrypted)} bytes for {identity.to_public()}")
    return {
        "configmaps/hello-values/values.age": encrypted,
        "secrets/hello-identity/identity": str(identity).encode(),
        "secrets/hello-licence/key": made["licence"].encode(),
    }


def _first_version(**data: str) -> dict[str, Any]:
    """Return a secret as the file of a local store has it: `injector/local_file.py`."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {"versions": [{"version": 1, "created": created, "expires": None, "data": data}]}


def _injected(story: Story, pod: dict[str, Any], body: bytes, ms: float) -> dict[str, Any]:
    """Return the pod with the patch that the answer carries, and show what it changes."""
    answer = json.loads(body)["response"]
    if not answer["allowed"] or "patch" not in answer:
        story.block(_message(answer))
        raise rehearsal.failed("the webhook did not inject", hint="its answer stands above")
    operations = json.loads(base64.b64decode(answer["patch"]))
    injected = jsonpatch.apply(copy.deepcopy(pod), operations)
    story.done(f"answered in {ms:.0f} ms with {len(operations)} operations")
    story.line("   what they change (resources and security context of the container left out):")
    story.line()
    story.diff(mutate.diff(pod, _readable(injected)))
    return injected


def _readable(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod in the order in which it runs, without what every container of ours has."""
    shown = copy.deepcopy(dict(pod))
    shown["spec"] = {"initContainers": shown["spec"].pop("initContainers"), **shown["spec"]}
    for init in shown["spec"]["initContainers"]:
        for boilerplate in ("resources", "securityContext", "imagePullPolicy"):
            init.pop(boilerplate, None)
        for entry in init["env"]:
            if entry["name"] == PLAN_VARIABLE:
                entry["value"] = f"({len(entry['value'])} characters: what to fetch, no value)"
    return shown


def _deliver(story: Story, pod: Pod, outputs: list[str]) -> None:
    story.step("The init container's program, with the plan that the patch carries")
    done = pod.fetch()
    outputs += [done.stdout, done.stderr]
    if done.returncode:
        story.block(done.stderr)
        raise rehearsal.failed(f"fetch ended with {done.returncode}", hint="its log stands above")
    facts = json.loads(done.stderr.splitlines()[-1])
    story.done(
        f"{facts['event']}: {facts['variables']} variables and {facts['files']} file"
        f" from {facts['reads']} reads of {len(facts['stores'])} stores"
    )


def _application(
    story: Story, pod: Pod, injected: Mapping[str, Any], made: Mapping[str, str]
) -> None:
    """Start the application, look at what the kernel gave it, and compare with what was stored."""
    story.step("The application's own command, through the real launcher")
    password = quote(made["password"], safe="")
    expected = {
        "DATABASE_URL": f"postgres://{made['user']}:{password}@db:5432/hello",
        "LICENCE_KEY": made["licence"],
        "/run/secrets/injector/api-token": made["token"],
    }
    process = pod.start()
    try:
        story.block(rehearsal.first_line(process))
        found = rehearsal.environment_of(process.pid)
    finally:
        process.kill()
        process.communicate()
    story.done(f"process {process.pid} is the command itself: the launcher became it")
    found |= {path: real.read_text() for path, real in pod.files().items()}
    for name, place in _provenance(injected).items():
        if found.get(name) != expected[name]:
            raise rehearsal.failed("the application has something else", source=name)
        size = len(found[name].encode())
        story.line(f"   {name:<32} {'•' * 8}  {size} bytes, as stored")
        story.line(f"   {'':<32} from {place}", dim=True)


def _provenance(injected: Mapping[str, Any]) -> dict[str, str]:
    """Return where each variable and file comes from, by the plan in the pod."""
    env = injected["spec"]["initContainers"][0]["env"]
    p = plan_codec.decode(next(e["value"] for e in env if e["name"] == PLAN_VARIABLE))
    container = p.containers[0]
    found = {item.name: _places(p, item.value) for item in container.env}
    files = {f"/run/secrets/injector/{f.path}": _places(p, f.value) for f in container.files}
    return found | files


def _places(p: Plan, index: int) -> str:
    places: list[str] = []
    for part in p.values[index].parts:
        if isinstance(part, Pick):
            places.append(p.where(part))
        elif isinstance(part, Use):
            places.append(_places(p, part.value))
    return ", ".join(places)


def _refused(story: Story, webhook: Webhook, pod: Mapping[str, Any], outputs: list[str]) -> None:
    story.step("The same pod with two slips of the pen: #{dmeo:...}, and an annotation called fils")
    text = json.dumps(pod).replace("#{demo:hello/api", "#{dmeo:hello/api")
    wrong = json.loads(text)
    wrong["metadata"]["annotations"]["secret-injector.io/fils"] = "{}"
    body, _ = webhook.review(wrong)
    outputs.append(body.decode())
    answer = json.loads(body)["response"]
    if answer["allowed"]:
        raise rehearsal.failed("a pod with mistakes was let in")
    story.block(_message(answer))
    story.done("refused: it never starts without its values")


def _message(answer: Mapping[str, Any]) -> str:
    return str((answer.get("status") or {}).get("message", ""))


def searched(story: Story, outputs: Sequence[str], made: Mapping[str, str]) -> int:
    """Search, and return the exit status."""
    story.step("Every answer, log and message, and all of the above, searched for the values")
    outputs = [*outputs, "\n".join(story.told)]
    found = rehearsal.leaks(outputs, made.values())
    if found:
        story.line(f"   ✗ a value shows up in {found} of {len(outputs)} texts", fg="red")
        return errors.INTERNAL
    story.done(f"{len(outputs)} texts, {len(made)} values, as they are and encoded: none is there")
    story.line(f"   ({story.took_s():.1f} s)")
    return errors.OK
