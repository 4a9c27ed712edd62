"""What the real process answers: reviews over TLS, and everything that is none."""

import contextlib
import json
import socket
import time

import pytest

from tests.bench import review
from tests.server.process import HOST, running, wait

LIMITS = ("--max-body-bytes", "100000", "--request-timeout-s", "1", "--head-timeout-s", "1")
CANARY = "canary-value-of-a-pod"


@pytest.fixture(scope="module")
def webhook(tmp_path_factory):
    """One process with short limits for all tests of the module."""
    with running(tmp_path_factory.mktemp("webhook"), *LIMITS) as process:
        yield process


def raw(webhook, *pieces, pause_s=0.0):
    """Send bytes as they are over TLS, in pieces; return all that comes until the server closes."""
    plain = socket.create_connection((HOST, webhook.ports["reviews"]), timeout=20)
    with webhook.trust.wrap_socket(plain, server_hostname=HOST) as connection:
        received = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
            while chunk := connection.recv(65536):
                received += chunk
        except OSError:
            received += b"<reset>"
        return received


def head(length, path="/mutate", kind="application/json", more=""):
    """The head of a POST."""
    text = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{more}"
    return (
        text + (f"Content-Length: {length}\r\n" if length is not None else "") + "\r\n"
    ).encode()


def test_a_pod_that_asks_is_answered_with_a_patch(webhook):
    """The review's uid comes back, allowed, with a JSON patch."""
    body = review.body()

    status, headers, answer = webhook.post(body)

    response = json.loads(answer)["response"]
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert (response["uid"], response["allowed"]) == (json.loads(body)["request"]["uid"], True)
    assert response["patchType"] == "JSONPatch"


def test_a_decision_is_one_log_line_without_the_pod(webhook):
    """The line says who, what and why; nothing of the pod's env, nor the patch."""
    pod = review.pod()
    pod["spec"]["containers"][0]["env"].append({"name": "OWN", "value": CANARY})
    body = review.body(pod)
    uid = json.loads(body)["request"]["uid"]

    webhook.post(body)

    wait(lambda: any(line.get("uid") == uid for line in webhook.lines()))
    (line,) = (line for line in webhook.lines() if line.get("uid") == uid)
    assert isinstance(line.pop("took_ms"), float)
    assert line.pop("timestamp").endswith("Z")
    assert isinstance(line.pop("plan_bytes"), int)
    assert line == {
        "level": "info",
        "event": "review answered",
        "uid": uid,
        "endpoint": "/mutate",
        "kind": "Pod",
        "namespace": "shop",
        "name": "checkout-7d4b9c6f5d-",
        "operation": "CREATE",
        "dry_run": False,
        "outcome": "inject",
        "reason": "injected",
        "warnings": 0,
        "containers": 2,
        "variables": 16,
        "files": 4,
        "reads": 8,
        "stores": ["vault"],
        "policies": [],
        "user": "system:serviceaccount:kube-system:replicaset-controller",
        "service_account": "checkout",
        "owner": "ReplicaSet/checkout-7d4b9c6f5d",
        "versions": ["ClusterSecretStore vault@1"],
    }
    assert CANARY not in webhook.log.read_text()


def test_a_refused_pod_gets_a_coded_message_and_a_metric(webhook):
    """An unknown store is a denial with its code, in the answer, the log and the metrics."""
    pod = review.pod()
    pod["metadata"]["annotations"] = {"secret-injector.io/env": 'A: "#{nowhere:a#b}"'}
    name = (
        'secret_injector_webhook_reviews_total{endpoint="/mutate",outcome="deny",reason="refused"}'
    )
    before = webhook.metric(name) or 0

    _, _, answer = webhook.post(review.body(pod))

    response = json.loads(answer)["response"]
    assert response["allowed"] is False
    assert response["status"]["message"].startswith("SI-110 ")
    assert webhook.metric(name) == before + 1


def test_validate_judges_a_store(webhook):
    """A store that does not parse is refused on /validate."""
    request = json.loads(review.body())
    request["request"]["kind"] = {"kind": "ClusterSecretStore"}
    request["request"]["object"] = {"metadata": {"name": "x"}, "spec": {"vault": {}}}

    _, _, answer = webhook.post(json.dumps(request), path="/validate")

    assert json.loads(answer)["response"]["allowed"] is False


def test_a_stored_workload_is_allowed_with_what_its_pods_would_be_refused_for(webhook):
    """The lines come back as warnings; the log has outcome, codes and their number."""
    asked = json.loads(review.body())
    template = asked["request"]["object"]
    template["metadata"]["annotations"] = {"secret-injector.io/env": 'A: "#{nowhere:a#b}"'}
    asked["request"] |= {
        "uid": "stored",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "userInfo": {"username": "jane"},
        "object": {"metadata": {"name": "web"}, "spec": {"template": template}},
    }

    _, _, answer = webhook.post(json.dumps(asked), path="/validate?timeout=2s")

    wait(lambda: any(line.get("uid") == "stored" for line in webhook.lines()))
    (line,) = (line for line in webhook.lines() if line.get("uid") == "stored")
    assert json.loads(answer)["response"] == {
        "uid": "stored",
        "allowed": True,
        "auditAnnotations": {
            "outcome": "allow",
            "reason": "would_be_refused",
            "codes": "SI-110",
        },
        "warnings": [
            (
                'SI-110 annotation secret-injector.io/env for A: no store "nowhere" serves'
                " namespace shop; kubectl get csstore lists the stores;"
                " allowedNamespaces says who may use each"
            )
        ],
    }
    assert (line["outcome"], line["reason"], line["codes"], line["warnings"]) == (
        "allow",
        "would_be_refused",
        ["SI-110"],
        1,
    )


@pytest.mark.parametrize(
    ("path", "kind", "body", "status"),
    [
        ("/mutate", "application/json", b"", 400),
        ("/mutate", "application/json", b"\x00\xff garbage", 400),
        ("/mutate", "application/json", b"[" * 50000, 400),
        ("/mutate", "application/json", b'{"kind": "AdmissionReview"}', 400),
        ("/mutate", "text/yaml", b"{}", 415),
        ("/mutate", "application/jsonx", b"{}", 415),
        ("/other", "application/json", b"{}", 404),
        ("/mutate/", "application/json", b"{}", 404),
        ("/mutate", "application/json", b" " * 100001, 413),
    ],
)
def test_what_is_no_review_gets_a_coded_line_and_no_more(webhook, path, kind, body, status):
    """Wrong path, type, size or form: the status, one line with SI-114, and the connection ends."""
    found, headers, answer = webhook.post(body, path=path, kind=kind)

    assert found == status
    assert headers["Connection"] == "close"
    assert answer.startswith(b"SI-114 ")
    assert answer.count(b"\n") == 1
    assert b"Traceback" not in answer


def test_other_methods_are_refused(webhook):
    """A review is posted; GET is 405."""
    with contextlib.closing(webhook.connect()) as connection:
        connection.request("GET", "/mutate", headers={"Content-Type": "application/json"})

        assert connection.getresponse().status == 405


def test_a_body_too_large_is_refused_before_it_is_read(webhook):
    """The announced size is enough: 413 comes although no byte of the body was sent."""
    assert raw(webhook, head(10**12)).startswith(b"HTTP/1.1 413 ")


def test_a_body_without_length_is_cut_at_the_limit(webhook):
    """A chunked body has no announced size; past the limit it is 413."""
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"

    answer = raw(webhook, head(None, more="Transfer-Encoding: chunked\r\n"), *[chunk] * 8)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_compressed_body_is_not_unpacked(webhook):
    """What could be a bomb is refused by its header."""
    answer = raw(webhook, head(10, more="Content-Encoding: gzip\r\n"), b"0123456789")

    assert answer.startswith(b"HTTP/1.1 415 ")


def test_a_body_in_chunks_of_one_byte_is_read(webhook):
    """A review that comes byte by byte is answered like any other."""
    body = review.body()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    more = "Transfer-Encoding: chunked\r\nConnection: close\r\n"

    answer = raw(webhook, head(None, more=more), chunks)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"allowed":true' in answer


def test_pipelined_requests_are_answered_in_order(webhook):
    """Three requests in one write get three answers in their order."""
    bodies = [review.body() for _ in range(3)]
    closes = ["", "", "Connection: close\r\n"]
    sent = b"".join(
        head(len(body), more=more) + body for body, more in zip(bodies, closes, strict=True)
    )

    answer = raw(webhook, sent)

    places = [answer.index(json.loads(body)["request"]["uid"].encode()) for body in bodies]
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert places == sorted(places)


def test_garbage_instead_of_http_is_answered_and_closed(webhook):
    """Bytes that are no request get a 400 and the connection ends; the next one is served."""
    assert raw(webhook, b"\x16\x03\x01 nonsense\r\n\r\n").startswith(b"HTTP/1.0 400 ")
    assert webhook.post(review.body())[0] == 200


def test_a_head_that_never_ends_is_closed(webhook):
    """A client that drips its head is cut off after the head's time limit."""
    began = time.monotonic()

    answer = raw(
        webhook, b"POST /mutate HTTP/1.1\r\nHost: x\r\n", *[b"X-A: 1\r\n"] * 40, pause_s=0.1
    )

    assert answer in (b"", b"<reset>")
    assert time.monotonic() - began < 6


def test_a_silent_connection_is_closed(webhook):
    """A client that connects and says nothing is cut off after the head's time limit."""
    began = time.monotonic()

    assert raw(webhook) == b""
    assert time.monotonic() - began < 4


def test_a_client_that_never_finishes_the_handshake_is_closed(webhook):
    """Plain bytes or silence instead of a handshake end by the same limit."""
    began = time.monotonic()
    with socket.create_connection((HOST, webhook.ports["reviews"]), timeout=20) as connection:
        assert connection.recv(100) == b""

    assert time.monotonic() - began < 4


def test_a_body_that_never_ends_is_answered_in_time(webhook):
    """A client that drips its body gets 408 at the request's deadline."""
    answer = raw(webhook, head(5000), *[b" "] * 15, pause_s=0.1)

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_kept_for_reuse(webhook):
    """A connection that was used once is served again after the head's time limit."""
    with contextlib.closing(webhook.connect()) as connection:
        webhook.post(review.body(), connection=connection)
        time.sleep(2)  # longer than the head may take: the time itself is what is tested

        assert webhook.post(review.body(), connection=connection)[0] == 200


def test_a_review_is_not_held_up_by_slow_clients(webhook):
    """Twenty clients that drip do not keep a review from its answer."""
    slow = []
    for _ in range(20):
        plain = socket.create_connection((HOST, webhook.ports["reviews"]), timeout=20)
        slow.append(webhook.trust.wrap_socket(plain, server_hostname=HOST))
        slow[-1].sendall(head(5000) + b" ")
    began = time.monotonic()

    assert webhook.post(review.body())[0] == 200

    assert time.monotonic() - began < 1
    for connection in slow:
        connection.close()


def test_the_pages_are_on_ports_of_their_own(webhook):
    """Health and metrics answer in plain HTTP; the reviews' port has neither."""
    assert webhook.page("health", "/healthz") == (200, "ok\n")
    assert webhook.page("health", "/readyz") == (
        200,
        "certificate dates: ok\nserving: ok\nconnections: ok\n",
    )
    assert webhook.page("health", "/metrics")[0] == 404
    assert webhook.page("metrics", "/healthz")[0] == 404
    assert webhook.page("health", "/healthz", "POST")[0] == 405
    assert webhook.metric("secret_injector_webhook_requests_in_flight") == 0
    assert webhook.metric("secret_injector_webhook_certificate_expiry_timestamp_seconds") > 1e9


def test_thousands_of_requests_leave_no_memory_and_no_files(webhook):
    """After a warm-up, two thousand requests, bad ones among them, leave memory and files flat."""

    def rounds(number):
        connection = webhook.connect()
        for index in range(number):
            webhook.post(review.body(), connection=connection)
            if index % 100 == 0:
                webhook.post(b"{", path=f"/mutate?timeout={index}s")
                raw(webhook, b"nonsense\r\n\r\n")
        connection.close()

    rounds(1000)
    wait(lambda: webhook.metric("secret_injector_webhook_requests_in_flight") == 0)
    memory, files = webhook.memory_kib(), webhook.descriptors()
    rounds(2000)
    wait(lambda: webhook.descriptors() <= files)

    assert webhook.memory_kib() - memory < 2048
