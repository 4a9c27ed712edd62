"""The plan as text and back: canonical JSON, zlib, base64url without padding.

Equal plans give equal JSON bytes. The alphabet of the result has no `$`, so the kubelet's `$(VAR)`
expansion leaves it alone. What comes in is checked field by field: a pod's env can be written by
anybody who may create pods, and a bad plan must end in one clear line.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterable
from typing import TypeVar

from injector.core import errors, plan
from injector.core.errors import Problem, Refused
from injector.core.plan import (
    ContainerPlan,
    EnvItem,
    FileItem,
    Part,
    Pick,
    Plan,
    PlanStore,
    PlanValue,
    Read,
    Rule,
    Use,
)
from injector.core.reference import FILTERS, PRESET_FILTERS, Filter

T = TypeVar("T")

_BLANK = Rule()


def to_json(p: Plan) -> str:
    """Return the canonical JSON text of the plan."""
    return json.dumps(_plan(p), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def encode(p: Plan) -> str:
    """Return the plan as it travels; raises Refused above `plan.MAX_ENCODED` characters."""
    packed = base64.urlsafe_b64encode(zlib.compress(to_json(p).encode(), 6)).decode().rstrip("=")
    if len(packed) > plan.MAX_ENCODED:
        what = f"the plan takes {len(packed)} bytes, the limit is {plan.MAX_ENCODED}"
        raise Refused([Problem(code=errors.TOO_LARGE, what=what)])
    return packed


def decode(text: str) -> Plan:
    """Return the plan that the text carries; raises Refused when it is none of ours."""
    try:
        unpacker = zlib.decompressobj()
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        data = unpacker.decompress(packed, plan.MAX_DECODED)
        if unpacker.unconsumed_tail or not unpacker.eof or unpacker.unused_data:
            raise _NotAPlanError("it is too large or cut off")
        return from_json(data.decode())
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        what = (
            str(error)
            if isinstance(error, _NotAPlanError)
            else "it is not base64url of zlib of JSON"
        )
        raise Refused(
            [Problem(code=errors.PLAN, what=f"the plan cannot be read: {what}")]
        ) from None


def from_json(text: str) -> Plan:
    """Return the plan of a JSON text; raises ValueError with what is wrong."""
    data = _Object(json.loads(text), "plan")
    if data.get("v") != plan.VERSION:
        raise _NotAPlanError(
            f"its version is {data.get('v')!r}, this injector reads {plan.VERSION}"
        )
    stores = data.each("stores", lambda o: PlanStore(name=o.text("name"), document=o.text("spec")))
    reads = data.each(
        "reads",
        lambda o: Read(
            store=o.index("store", len(stores)),
            path=o.text("path"),
            version=o.maybe_text("version"),
        ),
    )
    values: list[PlanValue] = []
    for entry in data.objects("values"):
        values.append(_value_from(entry, reads=len(reads), values=len(values)))
    return Plan(
        namespace=data.text("ns"),
        service_account=data.text("sa"),
        stores=stores,
        reads=reads,
        values=tuple(values),
        containers=data.each("containers", lambda o: _container_from(o, len(values))),
        group=data.maybe_whole("group"),
        deadline_s=float(data.whole("deadlineMs")) / 1000,
        sources=data.each(
            "sources", lambda o: (o.text("container"), o.text("name"), o.text("text"))
        ),
    )


def _plan(p: Plan) -> dict[str, object]:
    return {
        "v": plan.VERSION,
        "ns": p.namespace,
        "sa": p.service_account,
        "stores": [{"name": s.name, "spec": s.document} for s in p.stores],
        "reads": [_bare(store=r.store, path=r.path, version=r.version) for r in p.reads],
        "values": [
            _bare(
                key=v.key,
                origin=v.origin,
                parts=[_part(part) for part in v.parts],
                rule=_rule(v.rule),
            )
            for v in p.values
        ],
        "containers": [
            _bare(
                name=c.name,
                mode=c.env_mode,
                env=[[e.name, e.value] for e in c.env] or None,
                files=[_bare(path=f.path, value=f.value, mode=f.mode) for f in c.files] or None,
            )
            for c in p.containers
        ],
        "deadlineMs": round(p.deadline_s * 1000),
        "sources": [{"container": c, "name": n, "text": t} for c, n, t in p.sources],
        **_bare(group=p.group),
    }


def _bare(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _part(part: Part) -> object:
    if isinstance(part, str):
        return part
    filters = [[step.name, *step.args] for step in part.filters] or None
    if isinstance(part, Use):
        return _bare(use=part.value, filters=filters)
    return _bare(read=part.read, field=part.field, filters=filters)


def _rule(rule: Rule | None) -> object:
    if rule is None or rule == _BLANK:
        return None
    required = None if rule.required else False
    return _bare(
        required=required, default=rule.default, matches=rule.matches, notAfter=rule.not_after
    )


def _value_from(o: _Object, *, reads: int, values: int) -> PlanValue:
    parts: list[Part] = []
    for entry in o.sequence("parts"):
        if isinstance(entry, str):
            parts.append(entry)
            continue
        part = _Object(entry, "part")
        filters = tuple(_filter_from(step) for step in part.sequence("filters"))
        if part.get("use") is not None:
            parts.append(Use(value=part.index("use", values), filters=filters))
        else:
            parts.append(
                Pick(
                    read=part.index("read", reads), field=part.maybe_text("field"), filters=filters
                )
            )
    rule = None
    if o.get("rule") is not None:
        r = _Object(o.get("rule"), "rule")
        rule = Rule(
            required=r.get("required") is not False,
            default=r.maybe_text("default"),
            matches=r.maybe_text("matches"),
            not_after=r.maybe_text("notAfter"),
        )
    return PlanValue(parts=tuple(parts), key=o.text("key"), origin=o.text("origin"), rule=rule)


def _filter_from(step: object) -> Filter:
    if not isinstance(step, list) or not step or not all(isinstance(word, str) for word in step):
        raise _NotAPlanError("a filter is not a list of texts")
    name, *args = step
    least, most = (0, 0) if name in PRESET_FILTERS else FILTERS.get(name, (1, 0))
    if not least <= len(args) <= most:
        raise _NotAPlanError("a filter is unknown or has the wrong arguments")
    return Filter(name=name, args=tuple(args))


# Names and paths become paths in a volume: what `deliver` must be able to trust is checked here.
_CONTAINER = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
FILE_SEGMENT = re.compile(r"(?!\.\.)(?!\.\Z)[A-Za-z0-9._-]{1,253}")


def is_file_path(path: str) -> bool:
    """Say whether a path is relative, canonical and made of plain names (none starts with `..`)."""
    segments = path.split("/")
    return (
        len(segments) <= 8
        and len(path) <= 1024
        and all(FILE_SEGMENT.fullmatch(segment) for segment in segments)
    )


def _container_from(o: _Object, values: int) -> ContainerPlan:
    name, mode = o.text("name"), o.text("mode")
    if not _CONTAINER.fullmatch(name) or mode not in (plan.LAUNCHER, plan.NATIVE):
        raise _NotAPlanError("a container's name or mode is not one")
    env = []
    for entry in o.sequence("env"):
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
            raise _NotAPlanError("an env entry is not a name and a value")
        item = _Object({"name": entry[0], "value": entry[1]}, "env")
        env.append(EnvItem(name=entry[0], value=item.index("value", values)))
    files = tuple(
        FileItem(path=f.text("path"), value=f.index("value", values), mode=f.maybe_whole("mode"))
        for f in o.objects("files")
    )
    if not all(_ENV_NAME.fullmatch(e.name) for e in env) or len({e.name for e in env}) != len(env):
        raise _NotAPlanError("an env name is not one, or stands twice")
    if not all(is_file_path(f.path) for f in files) or not all(
        f.mode is None or 0 <= f.mode <= 0o777 for f in files
    ):
        raise _NotAPlanError("a file's path or mode is not one")
    if len({f.path for f in files}) != len(files):
        raise _NotAPlanError("a file stands twice")
    return ContainerPlan(name=name, env_mode=mode, env=tuple(env), files=files)


class _NotAPlanError(ValueError):
    """The text is JSON and still no plan; the message says why and quotes no more than a name."""


class _Object:
    """A JSON object under reading: each method takes one field and insists on its type."""

    def __init__(self, data: object, what: str) -> None:
        if not isinstance(data, dict):
            raise _NotAPlanError(f"{what} is not an object")
        self._data, self._what = data, what

    def get(self, name: str) -> object:
        return self._data.get(name)

    def text(self, name: str) -> str:
        found = self._data.get(name)
        if not isinstance(found, str):
            raise _NotAPlanError(f"{self._what}.{name} is not a text")
        return found

    def maybe_text(self, name: str) -> str | None:
        return None if self._data.get(name) is None else self.text(name)

    def whole(self, name: str) -> int:
        found = self._data.get(name)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**31:
            raise _NotAPlanError(f"{self._what}.{name} is not a whole number")
        return found

    def maybe_whole(self, name: str) -> int | None:
        return None if self._data.get(name) is None else self.whole(name)

    def index(self, name: str, count: int) -> int:
        found = self.whole(name)
        if found >= count:
            raise _NotAPlanError(f"{self._what}.{name} points to nothing")
        return found

    def sequence(self, name: str) -> list[object]:
        found = self._data.get(name)
        if found is None:
            return []
        if not isinstance(found, list) or len(found) > 65_536:
            raise _NotAPlanError(f"{self._what}.{name} is not a list")
        return found

    def objects(self, name: str) -> Iterable[_Object]:
        return [_Object(entry, f"an entry of {self._what}.{name}") for entry in self.sequence(name)]

    def each(self, name: str, make: Callable[[_Object], T]) -> tuple[T, ...]:
        return tuple(make(entry) for entry in self.objects(name))
