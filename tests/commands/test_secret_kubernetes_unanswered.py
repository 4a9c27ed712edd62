"""`secret` on a cluster whose API server is silent, is another, or gives no answer that is one."""

import asyncio

import pytest
from aiohttp import web

from tests.commands.desk import config
from tests.providers.certificates import Authority
from tests.providers.fault_proxy import FaultProxy


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (
            lambda: web.Response(status=307, headers={"Location": "http://127.0.0.1:9/"}),
            "SI-415 k8s shop/payment: the API server refuses the request with 307",
        ),
        (
            lambda: web.Response(text="<html>c4n4ry</html>"),
            "SI-415 k8s shop/payment: the answer is not that of an API server",
        ),
        (
            lambda: web.json_response({"metadata": {}, "data": {"a": "c4n4ry!"}}),
            "SI-415 k8s shop/payment: its key a is not in base64",
        ),
        (
            lambda: web.Response(body=b"[" + b" " * 17 * 2**20),
            "SI-413 k8s shop/payment: the answer is larger than 16 MiB",
        ),
    ],
)
def test_an_answer_that_is_no_secret_is_refused(desk, answer, line):
    """A redirect is not followed: it would carry the credential along."""

    async def fault(_request):
        return answer()

    desk.cluster.api.faults.append(("get", fault))

    done = desk.secret("get", "payment")

    assert (done.status, done.err.splitlines()[0]) == (8, line)
    assert desk.asked("get") == 1


def test_a_server_that_is_not_there_is_named(desk):
    """By its address; a name that does not resolve by itself."""
    proxy = FaultProxy(None, ("127.0.0.1", 1))
    proxy.close()
    desk.kubeconfig(config(proxy.port))
    refused = desk.secret("list")
    desk.kubeconfig(config(1, server="https://nowhere.invalid:6443"))
    unknown = desk.secret("list")

    assert (refused.status, refused.err.splitlines()[0]) == (
        7,
        f"SI-503 k8s shop/: 127.0.0.1:{proxy.port} cannot be reached",
    )
    assert (unknown.status, unknown.err.splitlines()[0]) == (
        7,
        "SI-503 k8s shop/: the name nowhere.invalid cannot be resolved",
    )


def test_a_server_that_breaks_off_or_is_silent_is_said_to_be(desk, monkeypatch):
    """A connection that ends twice is one line, and so is no answer in time."""

    async def broken(request):
        request.transport.abort()

    async def silent(_request):
        await asyncio.Event().wait()

    desk.cluster.api.faults.extend([("get", broken), ("get", broken)])
    ended = desk.secret("get", "payment")
    desk.cluster.api.faults.append(("get", silent))
    monkeypatch.setattr("injector.writers.api_server.PATIENCE_S", 0.2)
    late = desk.secret("get", "payment")

    assert (ended.status, ended.err.splitlines()[0]) == (
        7,
        "SI-503 k8s shop/payment: the connection broke",
    )
    assert (late.status, late.err.splitlines()[0]) == (
        7,
        "SI-503 k8s shop/payment: no answer within 0.2 s",
    )


def test_a_server_must_be_the_one_that_the_kubeconfig_trusts(desk):
    """Behind TLS with its authority it is asked, with another's it is not."""
    desk.put("payment", {"a": "1"})
    ours, other = Authority(desk.folder), Authority(desk.folder)
    proxy = FaultProxy(ours.context(), ("127.0.0.1", desk.cluster.api.port))
    try:
        (desk.folder / "ca.pem").write_text(ours.pem)
        (desk.folder / "other.pem").write_text(other.pem)
        named = {"certificate-authority": str(desk.folder / "ca.pem")}
        desk.kubeconfig(config(proxy.port, scheme="https", **named))
        trusted = desk.secret("list")
        named = {"certificate-authority": str(desk.folder / "other.pem")}
        desk.kubeconfig(config(proxy.port, scheme="https", **named))
        distrusted = desk.secret("list")
    finally:
        proxy.close()

    assert (trusted.status, trusted.out) == (0, "payment\n")
    assert (distrusted.status, distrusted.err.splitlines()[0]) == (
        7,
        "SI-502 k8s shop/: the API server is not trusted",
    )
