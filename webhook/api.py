"""The API server, spoken to in raw JSON: the only module that knows kubernetes-asyncio.

Its models cost a hundred times what decoding the few fields we use costs, so only its transport is
used: addresses, trust, tokens that rotate.

`RBAC` is all that the webhook may do, `CERTIFICATES_RBAC` all that the certificates process may;
the chart's rules are compared with them.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec
from kubernetes_asyncio import client, config

from injector.core import errors
from injector.core.errors import Problem, Refused

RBAC = (
    # API group, resource, verbs, limited to names given by settings
    ("secret-injector.io", "clustersecretstores", ("get", "list", "watch"), False),
    ("secret-injector.io", "servicesecrets", ("get", "list", "watch"), False),
    ("secret-injector.io", "environmentsecrets", ("get", "list", "watch"), False),
    ("secret-injector.io", "clusterinjectionpolicies", ("get", "list", "watch"), False),
    ("secret-injector.io", "clustersecretstores/status", ("patch",), False),
    ("secret-injector.io", "servicesecrets/status", ("patch",), False),
    ("secret-injector.io", "environmentsecrets/status", ("patch",), False),
    ("secret-injector.io", "clusterinjectionpolicies/status", ("patch",), False),
    ("coordination.k8s.io", "leases", ("get", "update"), True),
    ("", "namespaces", ("get", "list", "watch"), False),
    ("", "nodes", ("get", "list", "watch"), False),
    ("", "secrets", ("get",), True),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", ("get",), True),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", ("get",), True),
)
"""What the webhook's ServiceAccount may do. The Secret is the one of the serving certificate, in
its own namespace (a Role); all else is cluster-wide (a ClusterRole)."""

CERTIFICATES_RBAC = (
    ("coordination.k8s.io", "leases", ("get", "update"), True),
    ("", "secrets", ("get", "update"), True),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", ("get", "patch"), True),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", ("get", "patch"), True),
)
"""What the ServiceAccount of the certificates process may do: no other account may patch these."""

REQUEST_TIMEOUT_S = 30
MAX_LINE_BYTES = 16 * 2**20
"""A watch event is one object, and etcd takes 1.5 MiB; what is longer than this is no event."""


class ApiFailure(Exception):
    """The API server did not do it. `status` is HTTP's, or 0 when there was no answer."""

    def __init__(self, status: int, reason: str, *, retry_after_s: float = 0) -> None:
        super().__init__(f"{status} {reason}" if status else reason)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


class TooLarge(Exception):
    """The answer is larger than its reader wants; the connection was left.

    `objects` of a list were read until then, or somewhat more.
    """

    def __init__(self, objects: int) -> None:
        super().__init__()
        self.objects = objects


_OF_EACH_OBJECT = b'"resourceVersion":'


class _Status(msgspec.Struct):
    """meta/v1 Status, as far as we read it; its message may quote objects and is left out."""

    reason: str = ""
    code: int = 0


class Api:
    """A connection pool to one API server. Use as an async context manager, inside the loop."""

    def __init__(self, configuration: client.Configuration) -> None:
        self._client = client.ApiClient(configuration)
        self._host = str(configuration.host)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def get(
        self,
        path: str,
        query: Mapping[str, str] = {},
        *,
        accept: str = "",
        most_bytes: int | None = None,
    ) -> bytes:
        """Return the body of a resource or a list; raises ApiFailure, or TooLarge."""
        return await self._read("GET", path, most_bytes, query=query, accept=accept)

    async def put(self, path: str, document: Mapping[str, Any]) -> bytes:
        """Replace an object; 409 when its resourceVersion is no longer the current one."""
        return await self._read("PUT", path, body=document, content_type="application/json")

    async def json_patch(self, path: str, operations: list[dict[str, Any]]) -> bytes:
        """Patch an object (RFC 6902); 422 when a `test` does not hold."""
        kind = "application/json-patch+json"
        return await self._read("PATCH", path, body=operations, content_type=kind)

    async def lines(
        self, path: str, query: Mapping[str, str], *, accept: str, silence_s: float
    ) -> AsyncIterator[bytes]:
        """Yield the lines of a watch as they come, first an empty one when the answer has begun.

        Ends when the server ends it. Raises ApiFailure: an error status, a broken connection, or
        nothing heard for `silence_s`. Close the generator to stop.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence_s)
        async with self._answer("GET", path, query=query, accept=accept, timeout=timeout) as answer:
            yield b""
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
                if len(rest) > MAX_LINE_BYTES:
                    raise ApiFailure(0, "a watch event is too long")

    async def _read(
        self, method: str, path: str, most_bytes: int | None = None, **options: Any
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        async with self._answer(method, path, timeout=timeout, **options) as answer:
            parts = []
            count = 0
            async for part in answer.content.iter_any():
                parts.append(part)
                count += len(part)
                if most_bytes is not None and count > most_bytes:
                    raise TooLarge(sum(part.count(_OF_EACH_OBJECT) for part in parts))
            return b"".join(parts)

    @contextlib.asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's own, with parts
        query: Mapping[str, str] = {},
        accept: str = "",
        body: object = None,
        content_type: str = "",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": accept or "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        try:
            await self._client.update_params_for_auth(headers, [], ["BearerToken"])
            answer = await self._client.rest_client.request(
                method,
                self._host + path,
                query_params=dict(query),
                headers=headers,
                body=body,
                _preload_content=False,
                _request_timeout=timeout,
            )
            async with answer:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise await _failure(answer)
                yield answer
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ApiFailure(0, f"no answer: {type(error).__name__}") from error


async def connect(kubeconfig: Path | None, server: str = "") -> Api:
    """Return the API of the kubeconfig's cluster or else of the one this pod runs in.

    `server` is a plain address without credentials, for tests. Raises config.ConfigException.
    """
    configuration = client.Configuration()
    if server:
        configuration.host = server
    elif kubeconfig is not None:
        await config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    else:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    configuration.connection_pool_maxsize = 32
    if urlsplit(str(configuration.host)).scheme not in ("http", "https"):
        raise config.ConfigException("the API server's address is not a URL")
    return Api(configuration)


async def reach(kubeconfig: Path | None) -> Api:
    """Return the API as `connect` does; raises Refused (SI-201) when there is no way to it."""
    try:
        return await connect(kubeconfig)
    except (config.ConfigException, OSError):
        # The library's words quote entries of the file, with the tokens in them.
        why = (
            "this is no pod that has an API token"
            if kubeconfig is None
            else f"{kubeconfig} names no cluster and user that can be used"
        )
        what = f"no way to reach a cluster: {why}"
        hint = "--kubeconfig names one, --catalog needs none"
        raise Refused([Problem(code=errors.ARGUMENT, what=what, hint=hint)]) from None


async def connect_as_user(kubeconfig: str | None, context: str | None) -> Api:
    """Return the API that kubectl would speak to: the file named, else KUBECONFIG's, else ~'s.

    Raises config.ConfigException.
    """
    configuration = client.Configuration()
    await config.load_kube_config(kubeconfig, context, configuration, persist_config=False)
    return Api(configuration)


async def _failure(answer: aiohttp.ClientResponse) -> ApiFailure:
    try:
        status = msgspec.json.decode(await answer.content.read(65536), type=_Status)
    except msgspec.DecodeError:
        status = _Status()
    wait = answer.headers.get("Retry-After", "")
    return ApiFailure(
        answer.status,
        status.reason or answer.reason or "",
        retry_after_s=min(float(wait), 60) if wait.isdigit() else 0,
    )
