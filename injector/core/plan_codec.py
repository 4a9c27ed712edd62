"""The plan as text and back: canonical JSON, zlib, base64url without padding.

Equal plans give equal JSON bytes. The alphabet of the result has no `$`, so the kubelet's `$(VAR)`
expansion leaves it alone. What comes in is checked field by field: a pod's env can be written by
anybody who may create pods, and a bad plan must end in one clear line.

The field `asked` keeps its name and form in all versions: releases before and after read it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib

from injector.core import errors, plan
from injector.core.errors import Problem, Refused
from injector.core.plan import (
    ContainerPlan,
    EnvFrom,
    EnvItem,
    FileItem,
    KeyRule,
    Part,
    Pick,
    Plan,
    PlanStore,
    PlanValue,
    Read,
    Rule,
    Use,
)
from injector.core.plan_reader import NotAPlan, PlanObject
from injector.core.reference import (
    FILTERS,
    KEY,
    NAME,
    PRESET_FILTERS,
    STORE,
    Filter,
    argument_problem,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_BLANK = Rule()
_NOT_PACKED = "it is not base64url of zlib of JSON"


def to_json(p: Plan) -> str:
    """Return the canonical JSON text of the plan."""
    return _canonical(_plan(p))


def encode(p: Plan, asked: Mapping[str, str] = {}) -> str:
    """Return the plan as it travels; raises Refused above `plan.MAX_ENCODED` characters.

    Beside it travel the annotations that asked for it, name → text, for a copy of the pod that has
    lost them (`asked_in`); the fetcher does not read them. They are left out where both together
    would be too large.
    """
    if asked:
        both = {**_plan(p), "asked": dict(asked)}
        try:
            return pack(_canonical(both), "the plan")
        except Refused:
            pass
    return pack(to_json(p), "the plan")


def asked_in(text: str) -> dict[str, str]:
    """Return the annotations that a plan of any version came from; empty when it does not say."""
    try:
        found = PlanObject(json.loads(unpack(text)), "plan").get("asked")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def pack(text: str, what: str) -> str:
    """Return a text as it travels in a variable; `what` names it in messages.

    Raises Refused above `plan.MAX_ENCODED` characters.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        found = "a name or a text has half a surrogate pair, which is no character"
        raise Refused([Problem(code=errors.REFERENCE, what=found)]) from None
    packed = base64.urlsafe_b64encode(zlib.compress(data, 6)).decode().rstrip("=")
    for size, limit in ((len(data), plan.MAX_DECODED), (len(packed), plan.MAX_ENCODED)):
        if size > limit:
            too_large = f"{what} takes {size} bytes, the limit is {limit}"
            raise Refused([Problem(code=errors.TOO_LARGE, what=too_large)])
    return packed


def decode(text: str) -> Plan:
    """Return the plan that the text carries; raises Refused when it is none of ours."""
    try:
        return from_json(unpack(text))
    except NotAPlan as error:
        what = str(error)
    except (ValueError, RecursionError):
        what = _NOT_PACKED
    raise Refused([Problem(code=errors.PLAN, what=f"the plan cannot be read: {what}")])


def unpack(text: str) -> str:
    """Return what `pack` was given; raises ValueError with what is wrong."""
    try:
        unpacker = zlib.decompressobj()
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        # One more than the limit: what stops right there would not show that it has an end.
        data = unpacker.decompress(packed, plan.MAX_DECODED + 1)
        if unpacker.unconsumed_tail or not unpacker.eof or unpacker.unused_data:
            raise NotAPlan("it is too large or cut off")
        return data.decode()
    except (binascii.Error, zlib.error, UnicodeDecodeError):
        raise NotAPlan(_NOT_PACKED) from None


def from_json(text: str) -> Plan:
    """Return the plan of a JSON text; raises ValueError with what is wrong.

    Replicas of two releases look at one pod while an upgrade goes on: a release reads the plans of
    the one before.
    """
    data = PlanObject(json.loads(text), "plan")
    version = data.whole("v")
    if version not in (plan.VERSION - 1, plan.VERSION, plan.VERSION_WITH_ENV_FROM):
        known = f"{plan.VERSION} and {plan.VERSION_WITH_ENV_FROM}"
        raise NotAPlan(f"its version is {version}, this injector reads {known}")
    stores = data.each("stores", _store_from)
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
    containers = data.each("containers", lambda o: _container_from(o, len(values)))
    if len({container.name for container in containers}) != len(containers):
        raise NotAPlan("a container stands twice")
    return Plan(
        namespace=data.text("ns"),
        service_account=data.text("sa"),
        stores=stores,
        reads=reads,
        values=tuple(values),
        containers=containers,
        group=data.maybe_whole("group"),
        deadline_s=float(data.whole("deadlineMs")) / 1000,
        sources=data.each(
            "sources", lambda o: (o.text("container"), o.text("name"), o.text("text"))
        ),
        is_restarted=data.get("restarted") is not False,
        is_patient=data.get("patient") is True,
        mesh=data.maybe_text("mesh") or "",
        rules=data.each(
            "rules",
            lambda o: KeyRule(
                policy=o.text("policy"),
                action=o.text("action"),
                deny=o.texts("deny"),
                final=o.texts("final"),
            ),
        ),
    )


def _plan(p: Plan) -> dict[str, object]:
    has_env_from = bool(p.rules) or any(c.env_from or c.own for c in p.containers)
    return {
        "v": plan.VERSION_WITH_ENV_FROM if has_env_from else plan.VERSION,
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
                envFrom=[_env_from(each) for each in c.env_from] or None,
                own=list(c.own) or None,
            )
            for c in p.containers
        ],
        "deadlineMs": round(p.deadline_s * 1000),
        "sources": [{"container": c, "name": n, "text": t} for c, n, t in p.sources],
        **_bare(
            group=p.group,
            restarted=None if p.is_restarted else False,
            patient=p.is_patient or None,
            mesh=p.mesh or None,
            rules=[_key_rule(rule) for rule in p.rules] or None,
        ),
    }


def _canonical(document: object) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _bare(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _part(part: Part) -> object:
    if isinstance(part, str):
        return part
    filters = [[step.name, *step.args] for step in part.filters] or None
    if isinstance(part, Use):
        return _bare(use=part.value, filters=filters)
    return _bare(read=part.read, field=part.field, filters=filters)


def _env_from(each: EnvFrom) -> object:
    return _bare(
        value=each.value,
        keys=list(each.keys),
        prefix=each.prefix or None,
        rename=[list(pair) for pair in each.rename] or None,
        only=[list(patterns) for patterns in each.only] or None,
        strict=each.is_strict or None,
        pods=each.is_pods or None,
    )


def _key_rule(rule: KeyRule) -> object:
    return _bare(
        policy=rule.policy,
        action=rule.action,
        deny=list(rule.deny) or None,
        final=list(rule.final) or None,
    )


def _rule(rule: Rule | None) -> object:
    if rule is None or rule == _BLANK:
        return None
    return _bare(
        required=rule.required,
        default=rule.default,
        matches=rule.matches,
        notAfter=rule.not_after,
    )


def _value_from(o: PlanObject, *, reads: int, values: int) -> PlanValue:
    parts: list[Part] = []
    for entry in o.sequence("parts"):
        if isinstance(entry, str):
            parts.append(entry)
            continue
        part = PlanObject(entry, "part")
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
        r = PlanObject(o.get("rule"), "rule")
        rule = Rule(
            required=r.maybe_flag("required"),
            default=r.maybe_text("default"),
            matches=r.maybe_text("matches"),
            not_after=r.maybe_text("notAfter"),
        )
    return PlanValue(parts=tuple(parts), key=o.text("key"), origin=o.text("origin"), rule=rule)


def _filter_from(step: object) -> Filter:
    if not isinstance(step, list) or not step or not all(isinstance(word, str) for word in step):
        raise NotAPlan("a filter is not a list of texts")
    name, *args = step
    least, most = (0, 0) if name in PRESET_FILTERS else FILTERS.get(name, (1, 0))
    if not least <= len(args) <= most:
        raise NotAPlan("a filter is unknown or has the wrong arguments")
    if argument_problem(name, tuple(args)):
        raise NotAPlan("a filter has an argument that is not of its form")
    return Filter(name=name, args=tuple(args))


# Names and paths become paths in a volume: what `deliver` must be able to trust is checked here.
_CONTAINER = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
NATIVE_KEY = "VALUE"
"""The key in the env file of a variable whose own name cannot be one."""

FILE_SEGMENT = re.compile(r"(?!\.\.)(?!\.\Z)[A-Za-z0-9._-]{1,253}")


def is_file_path(path: str) -> bool:
    """Say whether a path is relative, canonical and made of plain names (none starts with `..`)."""
    segments = path.split("/")
    return (
        len(segments) <= 8
        and len(path) <= 1024
        and all(FILE_SEGMENT.fullmatch(segment) for segment in segments)
    )


def native_file(index: int, name: str) -> tuple[str, str]:
    """Return the env file of a container's variable, below the container's folder, and its key.

    The kubelet reads one variable of a file by its key and gives it any name. It takes no key that
    begins with a blank or `#`, and earlier versions none but words; a file cannot be called after
    every name. `index` is the variable's place among those of the container.
    """
    path = name if FILE_SEGMENT.fullmatch(name) else f"+{index}"
    return path, name if KEY.fullmatch(name) else NATIVE_KEY


def is_absolute_path(path: str) -> bool:
    """Say whether a path is absolute, canonical and made of plain names (none starts with `..`)."""
    segments = path[1:].split("/")
    return (
        path.startswith("/")
        and len(segments) <= 16
        and len(path) <= 1024
        and all(FILE_SEGMENT.fullmatch(segment) for segment in segments)
    )


def is_planned_path(path: str) -> bool:
    """Say whether a file may lie there: below the files folder, or mounted by itself."""
    return is_absolute_path(path) if path.startswith("/") else is_file_path(path)


def _store_from(o: PlanObject) -> PlanStore:
    name = o.text("name")
    if not STORE.fullmatch(name):
        raise NotAPlan("a store's name is not one")
    return PlanStore(name=name, document=o.text("spec"))


def _container_from(o: PlanObject, values: int) -> ContainerPlan:
    name, mode = o.text("name"), o.text("mode")
    if not _CONTAINER.fullmatch(name) or mode not in (plan.LAUNCHER, plan.NATIVE):
        raise NotAPlan("a container's name or mode is not one")
    env = []
    for entry in o.sequence("env"):
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
            raise NotAPlan("an env entry is not a name and a value")
        item = PlanObject({"name": entry[0], "value": entry[1]}, "env")
        env.append(EnvItem(name=entry[0], value=item.index("value", values)))
    files = tuple(
        FileItem(path=f.text("path"), value=f.index("value", values), mode=f.maybe_whole("mode"))
        for f in o.objects("files")
    )
    if not all(NAME.fullmatch(e.name) for e in env) or len({e.name for e in env}) != len(env):
        raise NotAPlan("an env name is not one, or stands twice")
    paths = [f.path for f in files]
    if not all(map(is_planned_path, paths)) or not all(
        f.mode is None or 0 <= f.mode <= 0o777 for f in files
    ):
        raise NotAPlan("a file's path or mode is not one")
    folders = {path[:at] for path in paths for at, char in enumerate(path) if char == "/"}
    if len(set(paths)) != len(paths) or not folders.isdisjoint(paths):
        raise NotAPlan("a file stands twice, or where another's folder is")
    return ContainerPlan(
        name=name,
        env_mode=mode,
        env=tuple(env),
        files=files,
        env_from=tuple(_env_from_of(each, values) for each in o.objects("envFrom")),
        own=o.texts("own"),
    )


def _env_from_of(o: PlanObject, values: int) -> EnvFrom:
    rename = tuple(map(_texts, o.sequence("rename")))
    if any(len(pair) != 2 for pair in rename):  # a key, and what it is called
        raise NotAPlan("a renaming is not two names")
    return EnvFrom(
        value=o.index("value", values),
        keys=o.texts("keys"),
        prefix=o.maybe_text("prefix") or "",
        rename=tuple((pair[0], pair[1]) for pair in rename),
        only=tuple(map(_texts, o.sequence("only"))),
        is_strict=o.get("strict") is True,
        is_pods=o.get("pods") is True,
    )


def _texts(data: object) -> tuple[str, ...]:
    return PlanObject({"texts": data}, "a list").texts("texts")
