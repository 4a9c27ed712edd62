"""Kept connections: used again while the server keeps them, and left when it has closed them."""

import socket
import threading

import pytest

from injector.core.stores.address import Address, Server
from injector.deadline import Deadline
from injector.http_session import Pool

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Closing:
    """Answers so many requests on a connection, then closes it after its answer."""

    def __init__(self, per_connection):
        self.per_connection = per_connection
        self.seen, self.closed = [], threading.Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.seen.append([])
            with connection:
                for _ in range(self.per_connection):
                    data = connection.recv(65_536)
                    if not data:
                        break
                    self.seen[-1].append(data.split(b" ")[0].decode())
                    connection.sendall(ANSWER)
            self.closed.release()

    def close(self):
        self._listener.close()


@pytest.fixture
def asked():
    """Return a function that starts a server and a pool of connections with it."""
    made = []

    def start(per_connection):
        server = Closing(per_connection)
        at = Address(scheme="http", host="127.0.0.1", port=server.port, base="")
        pool = Pool(Server(address=at, ca_bundle=None), timeout_s=5, deadline=Deadline.after(20))
        made.extend((pool, server))
        return server, pool

    yield start
    for each in made:
        each.close()


def test_a_connection_that_the_server_keeps_is_used_again(asked):
    """Three questions, one connection."""
    server, pool = asked(per_connection=3)

    answers = [pool.exchange("POST", "/x", headers={}).status_code for _ in range(3)]

    assert (answers, server.seen) == ([200] * 3, [["POST"] * 3])


def test_what_must_not_be_asked_twice_is_not_lost_to_a_connection_closed_meanwhile(asked):
    """A person thought before a write; the server had closed the connection of the read."""
    server, pool = asked(per_connection=1)
    pool.exchange("GET", "/read", headers={})
    assert server.closed.acquire(timeout=10)

    answer = pool.exchange("POST", "/write", headers={}, body=b"{}")

    assert answer.status_code == 200
    assert server.seen == [["GET"], ["POST"]]
