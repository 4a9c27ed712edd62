"""The finished pod before the guard and the validating webhook together, on a real API server.

As in `test_guard`, all of it is under another annotation prefix. The webhook's decision is served
here, so that a test can take it away; no mutating webhook is there to repair a pod first.
"""

import base64
import ssl
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec
import pytest

from injector.core import plan_codec
from injector.core.record import replace
from tests import asking, tampering
from tests.e2e.test_guard import ALLOWED, ASKS, PREFIX, bare, injected, rendered
from tests.e2e.testbed.api import ApiError
from tests.e2e.testbed.pki import Authority
from tests.e2e.testbed.process import until
from tests.tampering import BEFORE, NAMESPACE, OWN, app, plan_entry, unmount, volume
from webhook.core import final_state, review
from webhook.core.catalog import Catalog
from webhook.core.images import Images

IMAGES = Images(own=OWN, before=(BEFORE,), listed=("mirror.example/injector:1", "prefix.example/*"))


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Answer a review as /validate does."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = review.parse(body.replace(PREFIX.encode(), b"secret-injector.io/"))
        asked = msgspec.structs.replace(asked, namespace="shop")  # the pods were decided for it
        outcome = final_state.judge(
            asked, [Catalog.of(tampering.CLUSTER)], asking.INJECTION, IMAGES
        )
        answer = review.answer(asked, outcome)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the base class's name
        """Write nothing: the test's output is the report."""


@contextmanager
def _serving(cluster, folder):
    """Serve the decision; yield how to reach it and a function that ends it."""
    authority = Authority(folder, "final-state-ca")
    certificate, key = authority.issue("final-state", common_name="a", hosts=(cluster.host_ip,))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer((cluster.host_ip, 0), _Handler)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()

    def end():
        server.shutdown()
        thread.join()
        server.server_close()

    try:
        yield (
            {
                "url": f"https://{cluster.host_ip}:{server.server_address[1]}/validate",
                "caBundle": base64.b64encode(authority.cert.read_bytes()).decode(),
            },
            end,
        )
    finally:
        if thread.is_alive():
            end()


def created(cluster, pod):
    """Return what the API server says against a pod, or None."""
    try:
        cluster.create(pod, NAMESPACE, dry_run=True)
    except ApiError as error:
        return error.message
    return None


@contextmanager
def _in_force(cluster, helm, folder, *, with_guard):
    """Install the validating webhook of the chart, and the guard; yield how to end the webhook."""
    guard = rendered(helm, "guard", namespace=NAMESPACE) if with_guard else []
    [configuration] = rendered(helm, "validating-webhook", namespace=NAMESPACE)
    with _serving(cluster, folder) as (client, end):
        [hook] = [h for h in configuration["webhooks"] if h["name"].startswith("final-state.")]
        hook["name"] = "final-state.trial.example.org"
        configuration["webhooks"] = [{**hook, "clientConfig": client}]
        objects = [*guard, configuration]
        cluster.apply(objects)
        try:
            changed = injected()
            _audience(changed)
            signs = [("final-state", changed)]
            if with_guard:
                signs.append(("ValidatingAdmissionPolicy", bare(ASKS)))
            for sign, pod in signs:
                until(
                    lambda sign=sign, pod=pod: sign in (created(cluster, pod) or ""),
                    what=f"{sign} is in force",
                    timeout_s=60,
                )
            yield end
        finally:
            for item in reversed(objects):
                cluster.delete(item["kind"], item["metadata"]["name"])


@pytest.fixture(scope="module")
def together(cluster, helm, apart, tmp_path_factory):
    """Return a function from a pod to what guard and webhook say."""
    folder = tmp_path_factory.mktemp("together")
    with _in_force(cluster, helm, folder, with_guard=True):
        yield lambda pod: created(cluster, pod)


def replan(change):
    """Return a change of the plan in a pod."""

    def changed(pod):
        entry = plan_entry(pod)
        entry["value"] = plan_codec.encode(change(plan_codec.decode(entry["value"])))

    return changed


def _sibling(pod):
    other = tampering.injected(asking.pod({"env": 'A: "#{vault:kv/shop/other#x}"'}))
    plan_entry(pod)["value"] = plan_entry(other)["value"]


def _secret(pod):
    volume(pod, "secret-injector-secret-0")["secret"]["secretName"] = "other"


def _audience(pod):
    tampering.tokens(pod)[0]["audience"] = "https://evil.example"


def _token(pod):
    token = {"audience": "https://evil.example", "path": "tokens/evil", "expirationSeconds": 600}
    sources = volume(pod, "secret-injector-sources")["projected"]["sources"]
    sources.append({"serviceAccountToken": token})


def _literal(pod):
    app(pod, "aux")["env"] = [{"name": "A", "value": "x"}]


PLAN = "the plan is not the one that this pod would get"
SOURCES = "container secret-injector, volume secret-injector-sources: it holds a token for"

REFUSED = {
    "another pod's plan": (_sibling, f"container app: env DB: {PLAN}"),
    "a plan with another path": (
        replan(lambda p: replace(p, reads=tuple(replace(r, path="kv/x") for r in p.reads))),
        f"container app: env DB: {PLAN}",
    ),
    "a plan for another address": (
        replan(
            lambda p: replace(
                p,
                stores=tuple(
                    replace(s, document=s.document.replace("vault.example", "evil.example"))
                    for s in p.stores
                ),
            )
        ),
        f"container secret-injector: store vault: {PLAN}",
    ),
    "a plan with a file less": (
        replan(lambda p: replace(p, containers=tuple(replace(c, files=()) for c in p.containers))),
        f"container app: file tls.key: {PLAN}",
    ),
    "a plan that is none": (
        lambda pod: plan_entry(pod).update(value="x"),
        "container secret-injector, env SECRET_INJECTOR_PLAN: it is not there exactly once",
    ),
    "an audience": (_audience, f'{SOURCES} "https://evil.example" at tokens/bao'),
    "a token more": (_token, f'{SOURCES} "https://evil.example" at tokens/evil'),
    "another Secret": (
        _secret,
        "container secret-injector, volume secret-injector-secret-0: it holds Secret other",
    ),
    "files taken off": (
        lambda pod: unmount(pod, app(pod), "/run/secrets/injector"),
        "container app, volumeMounts /run/secrets/injector: it is not as the injector makes it",
    ),
    "a variable made a literal": (_literal, "and by env of container aux"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_another_plan_and_another_audience_are_refused(together, name):
    """What the guard cannot judge, the webhook refuses, and names container and field."""
    change, expected = REFUSED[name]
    pod = injected()
    change(pod)

    assert expected in (together(pod) or "passes")


def test_the_pod_that_the_webhook_made_passes(together):
    """With both in force, what was not changed is stored."""
    assert together(injected()) is None


@pytest.mark.parametrize("name", ALLOWED)
def test_what_other_software_may_change_passes_both(together, name):
    """The same table as the guard's, with the webhook beside it."""
    pod = injected()
    ALLOWED[name](pod)

    assert together(pod) is None


def test_all_of_it_passes_both_together(together):
    """One pod with every change that other software may make."""
    pod = injected()
    for change in list(ALLOWED.values())[:-4]:
        change(pod)

    assert together(pod) is None


def test_without_the_webhook_pods_that_ask_are_refused_and_others_are_not_sent(
    cluster, helm, apart, tmp_path
):
    """It fails closed for pods that ask or carry our container, and for no other pod."""
    with _in_force(cluster, helm, tmp_path, with_guard=False) as end:
        assert created(cluster, injected()) is None
        end()
        foreign = bare({})
        foreign["spec"]["volumes"] = [{"name": "secret-injector", "emptyDir": {}}]
        stripped = injected()
        stripped["metadata"]["annotations"] = {}

        refused = [created(cluster, injected()), created(cluster, stripped)]
        passed = [created(cluster, bare({})), created(cluster, foreign)]
        opted_out = created(cluster, bare({f"{PREFIX}inject": "false"}))

    assert all("failed calling webhook" in (said or "") for said in refused), refused
    assert [*passed, opted_out] == [None, None, None]
