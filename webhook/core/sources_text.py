"""The sources: the references that we took out of a pod's `env`, in a variable of our container.

Whoever looks at the pod again needs them, of whichever release: the plan is a release's own, this
variable is not. It is base64url (without padding) of zlib of JSON:

    {"v": 1, "env": [{"container": "app", "name": "URL", "text": "#{vault:...}"}, ...]}

Later releases may add fields, which earlier ones do not read; what is here keeps its meaning. The
fetcher never sees the variable. Anybody who may create pods can write it, so it is worth what an
`env` entry of that pod is worth: text, that is read anew under the rules of the day.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from injector.core import budget, plan_codec
from injector.core.plan_reader import PlanObject

VARIABLE = "SECRET_INJECTOR_SOURCES"
FORMAT = 1

Sources = tuple[tuple[str, str, str], ...]
"""Container, name and text of each entry."""

_BYTES_A_STEP = 256


def encode(sources: Sequence[tuple[str, str, str]]) -> str:
    """Return the sources as they travel; raises Refused above the size that a plan may have."""
    entries = [{"container": c, "name": n, "text": t} for c, n, t in sources]
    document = {"v": FORMAT, "env": entries}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return plan_codec.pack(text, "the references in env")


def decode(text: str) -> Sources | None:
    """Return the sources that a text holds, None when it holds none that can be read."""
    budget.spend(1 + len(text) // _BYTES_A_STEP)
    try:
        data = plan_codec.unpack(text)
        budget.spend(1 + len(data) // _BYTES_A_STEP)
        document = PlanObject(json.loads(data), "sources")
        return document.each("env", lambda o: (o.text("container"), o.text("name"), o.text("text")))
    except (ValueError, RecursionError):
        return None
