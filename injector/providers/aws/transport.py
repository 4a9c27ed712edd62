"""HTTP below aiobotocore, on aiohttp, without what a secret must not meet.

No redirect is followed (a 307 would carry the session token along), no proxy or `.netrc` of the
environment is used, no name may lead to a link-local address, no body is read beyond a limit, and
names are resolved in threads that nobody waits for when the time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from injector.connection import Connector
from injector.core import errors, secret
from injector.core.secret import Failure
from injector.core.stores import address
from injector.core.stores.address import Address
from injector.providers.aws import failures
from injector.providers.aws.failures import CallFailed


def trust(ca_bundle: str | None) -> ssl.SSLContext:
    """Return how servers are verified: by the PEM certificates, or by those of the system.

    A folder of hashed certificates is read one by one as needed, 20 ms faster than a bundle; one
    named by `SSL_CERT_FILE` is still used, as everywhere.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths = ssl.get_default_verify_paths()
    if ca_bundle is not None:
        context.load_verify_locations(cadata=ca_bundle)
    elif paths.cafile in (None, paths.openssl_cafile) and _is_hashed(paths.capath):
        context.load_verify_locations(capath=paths.capath)
    else:
        context.set_default_verify_paths()
    return context


def _is_hashed(folder: str | None) -> bool:
    return folder is not None and any(Path(folder).glob("[0-9a-f]*.0"))


class Transport:
    """The `http_session_cls` of our clients; TLS comes as `connector_args["ssl_context"]`."""

    def __init__(
        self,
        *,
        connector_args: dict[str, Any],
        max_pool_connections: int,
        **unused: object,
    ) -> None:
        """Prepare; `unused` is what botocore found out about proxies, timeouts and CA bundles."""
        del unused
        self._context: ssl.SSLContext = connector_args["ssl_context"]
        self._limit = max_pool_connections
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Nothing to do: connections are made when needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def send(self, request: Any) -> AioAWSResponse:
        """Return the answer to a signed request, read to its end; raises CallFailed."""
        if self._http is None:
            self._http = client_session(self._context, limit=self._limit)
        headers = {name: _text(value) for name, value in request.headers.items()}
        status, answered, body = await exchange(
            self._http, request.method, request.url, headers=headers, data=request.body
        )
        response = AioAWSResponse(request.url, status, answered, None)
        response._content = body  # noqa: SLF001 (where the base class keeps a body that is read)
        return response


class ForbiddenPeer(OSError):
    """An address is never a store's."""


def judged_socket(info: AddrInfoType) -> socket.socket:
    """Return a socket to connect with, if the address is one that a store may have."""
    family, kind, proto, _, where = info
    if address.is_forbidden_peer(str(where[0])):
        raise ForbiddenPeer
    return socket.socket(family, kind, proto)


def client_session(
    context: ssl.SSLContext,
    *,
    limit: int,
    factory: Callable[[AddrInfoType], socket.socket] = judged_socket,
) -> aiohttp.ClientSession:
    """Return an aiohttp session under our rules; only call it inside a running loop."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=context, limit=limit, resolver=Resolver(), socket_factory=factory
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        auto_decompress=False,
        skip_auto_headers=("Content-Type", "User-Agent"),
        trust_env=False,
    )


async def exchange(
    http: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    headers: dict[str, str],
    data: bytes | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers in lower case and body; the time limit is the caller's.

    Raises CallFailed, also for a redirect, for 429 and for a fault of the server.
    """
    try:
        async with http.request(
            method,
            URL(url, encoded=True),
            headers={**headers, "Accept-Encoding": "identity"},
            data=data,
            allow_redirects=False,
        ) as response:
            answered = {name.lower(): value for name, value in response.headers.items()}
            if (refusal := failures.of_status(response.status, answered)) is not None:
                raise CallFailed(refusal)
            return response.status, answered, await _bounded(response)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise CallFailed(explained(error, url)) from None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > secret.MAX_DOCUMENT_BYTES:
            response.close()
            raise CallFailed(Failure(code=errors.BODY, what="the answer is larger than 8 MiB"))
    return bytes(body)


class Resolver(AbstractResolver):
    """Names to addresses by the system, in daemon threads."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raises OSError."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def resolve() -> None:
            found: list[ResolveResult] | OSError
            try:
                found = _addresses(host, port, family)
            except OSError as error:
                found = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, waiting, found)

        threading.Thread(target=resolve, name="resolve", daemon=True).start()
        return await waiting

    async def close(self) -> None:
        """Nothing is kept."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(
            hostname=host, host=str(where[0]), port=port, family=kind, proto=proto, flags=flags
        )
        for kind, _, proto, _, where in socket.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    ]


def _settle(
    waiting: asyncio.Future[list[ResolveResult]], found: list[ResolveResult] | OSError
) -> None:
    if waiting.done():
        return
    if isinstance(found, OSError):
        waiting.set_exception(found)
    else:
        waiting.set_result(found)


def explained(error: Exception, url: str) -> Failure:
    """Return our words for what went wrong below HTTP: those of the cause that aiohttp wraps."""
    parts = urlsplit(url)
    at = Address(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or (443 if parts.scheme == "https" else 80),
        base="",
    )
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    elif isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        error = ConnectionResetError()
    if isinstance(error, ForbiddenPeer):
        what = f"{at.host} leads to a link-local, multicast or unspecified address"
        return Failure(code=errors.DOWN, what=what)
    # The limit is `Api.call`'s; here it would only be told.
    return Connector(at, ca_bundle=None, server_name=None, timeout_s=0.0).explained(error)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
