"""A registry of the images that the node has, for pods that must pull them."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.e2e.testbed.local import LocalCluster

_DOCKER = "application/vnd.docker"
_MANIFEST = f"{_DOCKER}.distribution.manifest.v2+json"
_CONFIG = f"{_DOCKER}.container.image.v1+json"
_LAYER = f"{_DOCKER}.image.rootfs.diff.tar"
_BLOB = "application/octet-stream"


class _Server(ThreadingHTTPServer):
    """Knows what is under each path: the media type and the content."""

    content: dict[str, tuple[str, bytes]]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a manifest or a blob."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Say what there is."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        kind, body = self.server.content.get(self.path.partition("?")[0], ("", b""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", digest(body))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the base class's name
        """Write nothing: the test's output is the report."""


@contextmanager
def running(cluster: LocalCluster, archives: Iterable[Path]) -> Iterator[None]:
    """Let the node pull the images of docker-archives, which are all of the registry localhost."""
    content: dict[str, tuple[str, bytes]] = {"/v2/": ("application/json", b"{}")}
    for archive in archives:
        content |= _images(archive)
    with _Server((cluster.host_ip, 0), _Handler) as server:
        server.content = content
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            cluster.node.mirror("localhost", f"http://{cluster.host_ip}:{server.server_address[1]}")
            yield
        finally:
            server.shutdown()
            thread.join()


def digest(content: bytes) -> str:
    """Return the name of a content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _images(archive: Path) -> dict[str, tuple[str, bytes]]:
    """Return what a registry answers for the images of a docker-archive, by path."""
    found: dict[str, tuple[str, bytes]] = {}
    with tarfile.open(archive) as tar:

        def read(name: str) -> bytes:
            file = tar.extractfile(name)
            return b"" if file is None else file.read()

        for image in json.loads(read("manifest.json")):
            config, layers = read(image["Config"]), [read(name) for name in image["Layers"]]
            document = {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _descriptor(_CONFIG, config),
                "layers": [_descriptor(_LAYER, layer) for layer in layers],
            }
            manifest = json.dumps(document).encode()
            for name in image["RepoTags"]:
                repository, _, tag = name.partition("/")[2].partition(":")
                root = f"/v2/{repository}"
                for reference in (tag, digest(manifest)):
                    found[f"{root}/manifests/{reference}"] = (_MANIFEST, manifest)
                for blob in (config, *layers):
                    found[f"{root}/blobs/{digest(blob)}"] = (_BLOB, blob)
    return found


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(content), "digest": digest(content)}
