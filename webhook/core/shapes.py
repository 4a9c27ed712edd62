"""Whether an object under review has the shape that every API server sends.

An API server has decoded the object to its type before it asks, so decisions rely on the types of a
pod's fields. A neighbour may post anything. When a decision ends in a fault, this tells its object
from a fault of our own; to look first would cost every review.
"""

from __future__ import annotations

from typing import Any

import msgspec

Texts = dict[str, str]
Objects = list[dict[str, Any]]


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    labels: Texts = {}
    annotations: Texts = {}
    owner_references: Objects = []


class _Exec(msgspec.Struct):
    command: list[str] = []


class _Hook(msgspec.Struct):
    exec: _Exec | msgspec.UnsetType = msgspec.UNSET


class _Lifecycle(msgspec.Struct, rename="camel"):
    post_start: _Hook | msgspec.UnsetType = msgspec.UNSET
    pre_stop: _Hook | msgspec.UnsetType = msgspec.UNSET


class _SecurityContext(msgspec.Struct, rename="camel"):
    run_as_user: int | msgspec.UnsetType = msgspec.UNSET
    run_as_non_root: bool | msgspec.UnsetType = msgspec.UNSET
    supplemental_groups: list[int] = []


class _Env(msgspec.Struct, rename="camel"):
    name: str = ""
    value: str = ""
    value_from: dict[str, dict[str, Any]] = {}


class _Mount(msgspec.Struct, rename="camel"):
    name: str = ""
    mount_path: str = ""
    sub_path: str = ""
    sub_path_expr: str = ""
    read_only: bool = False


class _Container(msgspec.Struct, rename="camel"):
    name: str = ""
    image: str = ""
    restart_policy: str = ""
    command: list[str] = []
    args: list[str] = []
    env: list[_Env] = []
    env_from: Objects = []
    volume_mounts: list[_Mount] = []
    volume_devices: Objects = []
    resources: dict[str, Any] = {}
    lifecycle: _Lifecycle | msgspec.UnsetType = msgspec.UNSET
    liveness_probe: _Hook | msgspec.UnsetType = msgspec.UNSET
    readiness_probe: _Hook | msgspec.UnsetType = msgspec.UNSET
    startup_probe: _Hook | msgspec.UnsetType = msgspec.UNSET
    security_context: _SecurityContext | msgspec.UnsetType = msgspec.UNSET


class _Volume(msgspec.Struct, rename="camel"):
    name: str = ""
    empty_dir: dict[str, Any] = {}


class _Os(msgspec.Struct):
    name: str = ""


class _PodSpec(msgspec.Struct, rename="camel"):
    service_account_name: str = ""
    init_containers: list[_Container] = []
    containers: list[_Container] = []
    ephemeral_containers: list[_Container] = []
    volumes: list[_Volume] = []
    node_selector: Texts = {}
    os: _Os = msgspec.field(default_factory=_Os)
    security_context: _SecurityContext | msgspec.UnsetType = msgspec.UNSET
    image_pull_secrets: Objects = []


class _Pod(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)


class _Any(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    spec: dict[str, Any] = {}


def mistake(kind: str, *objects: object) -> str:
    """Return what no API server would send in the objects of a review, or nothing.

    The sentence names a place and two types, and quotes nothing.
    """
    for raw in objects:
        if raw is not None:
            try:
                msgspec.convert(raw, _Pod if kind == "Pod" else _Any)
            except (msgspec.ValidationError, RecursionError) as error:
                return str(error) if isinstance(error, msgspec.ValidationError) else "too deep"
    return ""
