"""The pods that an object makes, found by their shape: in workloads, and in kinds we do not know.

    what is there                                          the pod
    a Pod, or an object without a kind that is like one    the object itself
    {metadata, spec: {containers: [...]}} anywhere         as it is: Deployment, Knative, Volcano
    `templates` with container, script or containerSet     Argo Workflows: one pod for each of them
    `steps` with images                                    Tekton: one pod for all of them
    `driver` and `executor` of a SparkApplication          one pod for each
    `podMetadata` beside `containers`                      operators such as that of Prometheus
    `operator: ...KubernetesPodOperator`                   Airflow's tasks as YAML

The first two stand in the object as they are, and a patch can be applied there. The others are
composed by a controller: what is returned is what it makes of the fields, as far as they decide
what is injected. Any types are borne: files hold anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from injector.core import budget

TEMPLATES = {
    "Pod": "",
    "PodTemplate": "/template",
    "Deployment": "/spec/template",
    "ReplicaSet": "/spec/template",
    "ReplicationController": "/spec/template",
    "StatefulSet": "/spec/template",
    "DaemonSet": "/spec/template",
    "Job": "/spec/template",
    "CronJob": "/spec/jobTemplate/spec/template",
    "Rollout": "/spec/template",
}
"""Kind → JSON Pointer to its pod template; a Pod is its own."""

MAX_DEPTH = 24
"""How deep a template is looked for: custom resources keep theirs within eight levels."""

_ARGO_COMMAND = ["/var/run/argo/argoexec", "emissary", "--"]
_TEKTON_COMMAND = ["/tekton/bin/entrypoint"]
_NOT_ENTERED = frozenset({"metadata", "status"})
_SPARK_KINDS = ("SparkApplication", "ScheduledSparkApplication")
_POD_OPERATOR = "KubernetesPodOperator"

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTemplate:
    """A pod as a manifest writes it, and where in the manifest it is.

    `pointer` is a JSON Pointer; `annotated` are the paths (`spec.template.metadata.annotations`) of
    the maps that the pod's annotations come from, the strongest last. `is_composed`: a controller
    makes the pod from the fields there, so a patch of the pod cannot be applied to the manifest.
    """

    kind: str
    name: str
    namespace: str
    pointer: str
    pod: dict[str, Any]
    annotated: tuple[str, ...] = ()
    is_composed: bool = False

    @property
    def path(self) -> str:
        """The place as people write it: `spec.tasks[0].template`; empty for the object itself."""
        return path_of(self.pointer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """The object that a template belongs to; objects may hold others, as in a List."""

    kind: str
    name: str
    namespace: str
    pointer: str
    raw: Raw

    @property
    def annotations(self) -> Raw:
        return _map(_map(self.raw.get("metadata")).get("annotations"))


def pod_templates(manifest: Raw, *, namespace: str) -> Iterator[PodTemplate]:
    """Yield the pod templates of an object, in the order in which they are written.

    `namespace` stands in where the object names none, as kubectl does it. The work is in
    proportion to the object and is counted; a caller that needs few of them stops early. Nothing
    is copied: what is yielded shares its parts with the manifest.
    """
    if "kind" not in manifest and "cases" in manifest:
        return  # what `policy test` reads: its pods are made up
    yield from _of_object(manifest, "", namespace, depth=0)


def path_of(pointer: str) -> str:
    """Return a JSON Pointer as a path with dots: `/spec/tasks/0/a` is `spec.tasks[0].a`."""
    found = ""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        found += f"[{name}]" if name.isdecimal() else f".{name}" if found else name
    return found


def _of_object(raw: Raw, pointer: str, namespace: str, *, depth: int) -> Iterator[PodTemplate]:
    metadata = _map(raw.get("metadata"))
    kind = _text(raw.get("kind"))
    owner = _Owner(
        kind=kind or "Pod",
        name=_text(metadata.get("name")) or _text(metadata.get("generateName")),
        namespace=_text(metadata.get("namespace")) or namespace,
        pointer=pointer,
        raw=raw,
    )
    known = _known(owner) if kind else None
    if known is None and not kind and _is_pod_spec(raw.get("spec")):
        known = pointer  # a pod template file may leave its kind to its reader
    if known is not None:
        yield _standing(owner, known, _at(raw, known[len(pointer) :]))
        return
    if kind != "CustomResourceDefinition":  # it holds schemas, and no objects
        yield from _walk(raw, pointer, owner, depth=depth)


def _known(owner: _Owner) -> str | None:
    """Return the pointer to the template of a kind that we know; other groups have such names."""
    at = TEMPLATES.get(owner.kind)
    if at is None or not isinstance(_at(owner.raw, at), Mapping):
        return None
    return owner.pointer + at


def _walk(node: object, pointer: str, owner: _Owner, *, depth: int) -> Iterator[PodTemplate]:
    budget.spend()
    if depth > MAX_DEPTH:
        return
    if isinstance(node, list):
        for index, entry in enumerate(node):
            if isinstance(entry, (Mapping, list)):
                yield from _enter(entry, f"{pointer}/{index}", owner, depth=depth + 1)
        return
    if not isinstance(node, Mapping):
        return
    done = set(_NOT_ENTERED) if pointer == owner.pointer else {"status"}
    for key, found in _composed(node, pointer, owner):
        done.add(key)
        yield found
    for key, entry in node.items():
        if key not in done and isinstance(entry, (Mapping, list)):
            yield from _enter(entry, f"{pointer}/{_escaped(key)}", owner, depth=depth + 1)


def _enter(node: object, pointer: str, owner: _Owner, *, depth: int) -> Iterator[PodTemplate]:
    if isinstance(node, Mapping):
        if isinstance(node.get("kind"), str) and isinstance(node.get("apiVersion"), str):
            yield from _of_object(node, pointer, owner.namespace, depth=depth)
            return
        if _is_pod_spec(node.get("spec")):
            yield _standing(owner, pointer, node)
            return
    yield from _walk(node, pointer, owner, depth=depth)


def _is_pod_spec(spec: object) -> bool:
    return isinstance(spec, Mapping) and any(
        "image" in each or "name" in each for each in _objects(spec.get("containers"))
    )


def _standing(owner: _Owner, pointer: str, node: object) -> PodTemplate:
    pod = {"metadata": {}, **_map(node)}
    if pod["metadata"] is None:
        pod["metadata"] = {}
    if _text(owner.raw.get("apiVersion")).startswith("serving.knative.dev/"):
        pod["spec"] = _named(_map(pod.get("spec")))
    at = "metadata.annotations"
    path = path_of(pointer)
    return PodTemplate(
        kind=owner.kind,
        name=owner.name,
        namespace=owner.namespace,
        pointer=pointer,
        pod=pod,
        annotated=(f"{path}.{at}" if path else at,),
    )


def _named(spec: Raw) -> dict[str, Any]:
    """Return a Knative pod spec with the name that its controller gives a container without one."""
    containers = [{"name": "user-container", **raw} for raw in _objects(spec.get("containers"))]
    return {**spec, "containers": containers}


def _composed(node: Raw, pointer: str, owner: _Owner) -> Iterator[tuple[str, PodTemplate]]:
    """Yield the pods that a controller composes from a node, each with the field it came from."""
    for index, entry in enumerate(_objects(node.get("templates"))):
        for place, template in _argo_templates(entry):
            if found := _argo(node, template):
                at = f"{pointer}/templates/{index}{place}"
                yield "templates", _made(owner, at, *found, from_=(pointer, "podMetadata"), own=at)
    if any("image" in step for step in _objects(node.get("steps"))):
        made = _tekton(node, owner)
        yield "steps", _made(owner, pointer, *made, from_=(owner.pointer, "metadata"), own=pointer)
    if owner.kind in _SPARK_KINDS:
        for role in ("driver", "executor"):
            if isinstance(node.get(role), Mapping):
                at = f"{pointer}/{role}"
                yield role, _made(owner, at, *_spark(node, role), from_=(at, ""), own="")
    if "podMetadata" in node and _objects(node.get("containers")):
        metadata = _map(node.get("podMetadata"))
        found = (_map(metadata.get("annotations")), dict(node))
        yield "containers", _made(owner, pointer, *found, from_=(pointer, "podMetadata"), own="")
    if _text(node.get("operator")).endswith(_POD_OPERATOR) and "image" in node:
        yield "image", _made(owner, pointer, *_airflow(node), from_=(pointer, ""), own="")


def _made(
    owner: _Owner,
    pointer: str,
    annotations: Raw,
    spec: dict[str, Any],
    *,
    from_: tuple[str, str],
    own: str,
) -> PodTemplate:
    """Return a composed pod; its annotations come from `from_`, and from `own` metadata if any."""
    base, field = from_
    places = [f"{base}/{field}/annotations" if field else f"{base}/annotations"]
    if own and own != base:
        places.append(f"{own}/metadata/annotations")
    return PodTemplate(
        kind=owner.kind,
        name=owner.name,
        namespace=owner.namespace,
        pointer=pointer,
        pod={"metadata": {"annotations": dict(annotations)}, "spec": spec},
        annotated=tuple(path_of(place) for place in places),
        is_composed=True,
    )


def _argo_templates(template: Raw) -> Iterator[tuple[str, Raw]]:
    """Yield a template of Argo Workflows and those that its steps or tasks hold, with their places.

    `steps` is a list of lists; what is written within a step or task holds no others.
    """
    yield "", template
    for index, group in enumerate(_list(template.get("steps"))):
        budget.spend()
        for at, step in enumerate(_objects(group)):
            if isinstance(step.get("inline"), Mapping):
                yield f"/steps/{index}/{at}/inline", step["inline"]
    for index, task in enumerate(_objects(_map(template.get("dag")).get("tasks"))):
        budget.spend()
        if isinstance(task.get("inline"), Mapping):
            yield f"/dag/tasks/{index}/inline", task["inline"]


def _argo(workflow: Raw, template: Raw) -> tuple[Raw, dict[str, Any]] | None:
    """Return annotations and spec of the pod of one template of Argo Workflows; None without one.

    Its controller starts every container through its own program, and looks up the command of an
    image that has none.
    """
    mains = [dict(c) for c in _objects(_map(template.get("containerSet")).get("containers"))]
    mains += [
        {"name": "main", **template[field]}
        for field in ("container", "script")
        if isinstance(template.get(field), Mapping)
    ]
    if not mains:
        return None
    for main in mains:
        main["command"] = [*_ARGO_COMMAND, *_list(main.get("command"))]
    defaults = _map(workflow.get("templateDefaults"))
    annotations: dict[str, Any] = {}
    for metadata in (
        workflow.get("podMetadata"),
        defaults.get("metadata"),
        template.get("metadata"),
    ):
        annotations |= _map(_map(metadata).get("annotations"))
    spec = _bare(
        serviceAccountName=template.get("serviceAccountName") or workflow.get("serviceAccountName"),
        initContainers=_objects(template.get("initContainers")),
        containers=[*mains, *_objects(template.get("sidecars"))],
        volumes=[*_objects(workflow.get("volumes")), *_objects(template.get("volumes"))],
        securityContext=template.get("securityContext") or workflow.get("securityContext"),
        nodeSelector=template.get("nodeSelector") or workflow.get("nodeSelector"),
    )
    return annotations, {"restartPolicy": "Never", **spec}


def _tekton(task: Raw, owner: _Owner) -> tuple[Raw, dict[str, Any]]:
    """Return annotations and spec of the pod of Tekton's steps.

    A Task's, a run's and an embedded task's annotations all become the pod's. Every step starts
    through Tekton's own program.
    """
    shared = _map(task.get("stepTemplate"))
    run = _map(owner.raw.get("spec"))
    per_run = _map(run.get("taskRunTemplate"))
    template = _map(run.get("podTemplate")) or _map(per_run.get("podTemplate"))
    containers = []
    for index, step in enumerate(_objects(task.get("steps"))):
        made = {**shared, **step}
        made["name"] = f"step-{_text(step.get('name')) or f'unnamed-{index}'}"
        made["command"] = [*_TEKTON_COMMAND, *_list(made.get("command"))]
        made["env"] = [*_objects(shared.get("env")), *_objects(step.get("env"))]
        containers.append(made)
    for index, sidecar in enumerate(_objects(task.get("sidecars"))):
        name = _text(sidecar.get("name")) or f"unnamed-{index}"
        containers.append({**sidecar, "name": f"sidecar-{name}"})
    own = _map(_map(task.get("metadata")).get("annotations"))
    spec = _bare(
        serviceAccountName=run.get("serviceAccountName") or per_run.get("serviceAccountName"),
        containers=containers,
        volumes=[*_objects(task.get("volumes")), *_objects(template.get("volumes"))],
        securityContext=template.get("securityContext"),
        nodeSelector=template.get("nodeSelector"),
    )
    return {**owner.annotations, **own}, {"restartPolicy": "Never", **spec}


def _spark(application: Raw, role: str) -> tuple[Raw, dict[str, Any]]:
    """Return annotations and spec of a driver or an executor; its image brings the command."""
    part = _map(application.get(role))
    template = _map(part.get("template"))
    body = _map(template.get("spec"))
    name = f"spark-kubernetes-{role}"
    env = [*_objects(part.get("env"))]
    env += [{"name": key, "value": value} for key, value in _map(part.get("envVars")).items()]
    main = {
        "name": name,
        "image": _text(part.get("image")) or _text(application.get("image")),
        **next((c for c in _objects(body.get("containers")) if c.get("name") == name), {}),
    }
    main["env"] = [*_objects(main.get("env")), *env]
    main["volumeMounts"] = [
        *_objects(main.get("volumeMounts")),
        *_objects(part.get("volumeMounts")),
    ]
    others = [c for c in _objects(body.get("containers")) if c.get("name") != name]
    spec = {
        **body,
        "restartPolicy": "Never",
        "containers": [main, *others, *_objects(part.get("sidecars"))],
        **_bare(
            serviceAccountName=part.get("serviceAccount") or body.get("serviceAccountName"),
            initContainers=[
                *_objects(body.get("initContainers")),
                *_objects(part.get("initContainers")),
            ],
            volumes=[*_objects(body.get("volumes")), *_objects(application.get("volumes"))],
            securityContext=part.get("podSecurityContext") or body.get("securityContext"),
        ),
    }
    theirs = _map(_map(template.get("metadata")).get("annotations"))
    return {**theirs, **_map(part.get("annotations"))}, spec


def _airflow(task: Raw) -> tuple[Raw, dict[str, Any]]:
    """Return annotations and spec of the pod that Airflow's KubernetesPodOperator makes."""
    env = task.get("env_vars")
    variables = (
        [{"name": name, "value": value} for name, value in env.items()]
        if isinstance(env, Mapping)
        else _objects(env)
    )
    main = _bare(
        name=_text(task.get("base_container_name")) or "base",
        image=task.get("image"),
        command=_list(task.get("cmds")),
        args=_list(task.get("arguments")),
        env=variables,
        volumeMounts=_objects(task.get("volume_mounts")),
    )
    spec = _bare(
        serviceAccountName=task.get("service_account_name"),
        initContainers=_objects(task.get("init_containers")),
        containers=[main],
        volumes=_objects(task.get("volumes")),
    )
    return _map(task.get("annotations")), {"restartPolicy": "Never", **spec}


def _at(node: object, pointer: str) -> object:
    for part in pointer.split("/")[1:]:
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _map(value: object) -> Raw:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _objects(value: object) -> list[Raw]:
    return [entry for entry in _list(value) if isinstance(entry, Mapping)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _bare(**fields: object) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _escaped(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
