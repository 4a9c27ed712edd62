"""The API server that kubectl would ask, asked by a person: one request, one answer of raw JSON.

The only module of the injector that knows kubernetes-asyncio, whose configuration and transport it
uses and nothing else (docs/adr/0010). It is loaded when a person opens a store of kind k8s; no pod
loads it. https://kubernetes.io/docs/reference/using-api/api-concepts/ is what it follows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
from kubernetes_asyncio import client, config

from injector import __version__, kubeconfig
from injector.connection import Unanswered
from injector.core import errors
from injector.core.secret import Failure
from injector.kubeconfig import Kubeconfig
from injector.writers import refused
from injector.writers.api_refusal import ApiRefusal

PATIENCE_S = 30
MAX_BYTES = 16 * 2**20
"""A Secret takes 1.5 MiB in etcd, and a page of names far less than this."""

_MANAGER = "secret-injector"


def connect(chosen: Kubeconfig) -> ApiServer:
    """Return the API server of the context; nothing is asked yet. Raises Refused, FetchFailed.

    A context that impersonates is refused: who does so wants less than their own rights, and the
    client library would use those.
    """
    if chosen.impersonates:
        what = f'the user of the context "{chosen.context}" acts as somebody else (as)'
        hint = "--context NAME takes one that does not"
        raise refused(Failure(code=errors.NOT_SUPPORTED, what=what, hint=hint), chosen.files)
    runner = asyncio.Runner()
    try:
        with kubeconfig.loading(chosen):
            return ApiServer(runner, runner.run(_client(chosen)))
    except BaseException:
        runner.close()
        raise


class ApiServer:
    """A connection pool, with an event loop of its own behind a synchronous face."""

    def __init__(self, runner: asyncio.Runner, made: client.ApiClient) -> None:
        """Take over the loop that the client was made in."""
        self._runner, self._client = runner, made

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = {},
        accept: str = "application/json",
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the object of the answer; raises ApiRefusal, Unanswered."""
        return self._runner.run(self._ask(method, path, query, accept, body))

    def close(self) -> None:
        """Close the connections and the loop."""
        try:
            self._runner.run(self._client.close())
        finally:
            self._runner.close()

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        accept: str,
        body: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        headers = {"Accept": accept, "User-Agent": f"{_MANAGER}/{__version__}"}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"])
        if body is not None:
            headers["Content-Type"] = "application/json"
        if method in ("POST", "PUT"):
            query = {**query, "fieldManager": _MANAGER}
        # Not by its own `request`, which follows redirects: they would carry values along.
        rest = self._client.rest_client
        try:
            async with rest.pool_manager.request(
                method,
                str(self._client.configuration.host) + path,
                params=query,
                headers=headers,
                data=None if body is None else json.dumps(body).encode(),
                timeout=aiohttp.ClientTimeout(total=PATIENCE_S),
                allow_redirects=False,
                proxy=rest.proxy,
                proxy_headers=rest.proxy_headers,
                server_hostname=rest.server_hostname,
            ) as answer:
                status, content = answer.status, await _read(answer.content)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unanswered(_explained(error)) from None
        if status >= 300:
            raise _refusal(status, content)
        return _object(content)


async def _client(chosen: Kubeconfig) -> client.ApiClient:
    configuration = client.Configuration()
    await config.load_kube_config(chosen.files, chosen.context, configuration, persist_config=False)
    return client.ApiClient(configuration)


async def _read(stream: aiohttp.StreamReader) -> bytes:
    content = b""
    async for chunk in stream.iter_any():
        content += chunk
        if len(content) > MAX_BYTES:
            what = f"the answer is larger than {MAX_BYTES >> 20} MiB"
            raise Unanswered(Failure(code=errors.BODY, what=what))
    return content


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    what = "the answer is not that of an API server"
    hint = "kubectl config view --minify shows the server that is asked"
    raise Unanswered(Failure(code=errors.CONTENT, what=what, hint=hint))


def _refusal(status: int, content: bytes) -> ApiRefusal:
    try:
        return ApiRefusal.of(status, _object(content))
    except Unanswered:
        return ApiRefusal(status)


def _explained(error: Exception) -> Failure:
    """Return our words for what went wrong below HTTP."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            what = "the API server is not trusted"
            hint = "check certificate-authority and the server's name in the kubeconfig"
            return Failure(code=errors.TLS, what=what, hint=hint)
        case aiohttp.ClientConnectorDNSError(host=host):
            what = f"the name {host} cannot be resolved"
        case aiohttp.ClientConnectorError(host=host, port=port):
            what = f"{host}:{port} cannot be reached"
        case TimeoutError():
            what = f"no answer within {PATIENCE_S} s"
        case _:
            what = "the connection broke"
    return Failure(code=errors.DOWN, what=what, hint="kubectl version tries the same server")
