"""What real servers answered, kept in `recordings/`, one file per server.

`vault.json` is written by `python -m tests.e2e.vault_states`, which makes each state on a real
server. A file `NAME-published.json` holds bodies that a vendor published, each with its page.
"""

import json
from pathlib import Path

from injector.http_session import Answer

FOLDER = Path(__file__).parent / "recordings"


def recordings(name):
    """Return the recordings of a server by the names of their states."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def body(recording):
    """Return the bytes of a recorded body."""
    return b"" if recording["body"] is None else json.dumps(recording["body"]).encode()


def answer(recording):
    """Return a recording as providers see an answer."""
    return Answer(recording["status"], {"content-type": "application/json"}, body(recording))
