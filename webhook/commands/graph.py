"""The graph of services, as Mermaid or Graphviz text: who imports whom, who uses whose keys."""

from __future__ import annotations

from collections.abc import Iterator

from injector.core.reference import EnvironmentKey, Expression, ServiceKey, StoreRead
from webhook.core.catalog import Catalog
from webhook.core.definitions import FileDef, FromDef, KeyDef
from webhook.core.resources import Service


def graph(catalog: Catalog, form: str) -> str:
    """Return the graph in the form `mermaid` or `dot`; an edge names the keys it is for."""
    edges: dict[tuple[str, str], list[str]] = {}
    for _, service in sorted(catalog.services.items()):
        for target, label in _edges(service):
            labels = edges.setdefault((f"{service.namespace}/{service.name}", target), [])
            if label not in labels:
                labels.append(label)
    nodes = sorted(
        {f"{ns}/{name}" for ns, name in catalog.services} | {n for edge in edges for n in edge}
    )
    ids = {node: f"n{index}" for index, node in enumerate(nodes)}
    rows = [(ids[a], ids[b], ", ".join(labels)) for (a, b), labels in sorted(edges.items())]
    if form == "dot":
        lines = [f'  {ids[node]} [label="{node}"];' for node in nodes]
        lines += [f'  {a} -> {b} [label="{label}"];' for a, b, label in rows]
        return "\n".join(["digraph services {", "  rankdir=LR;", *lines, "}"])
    lines = [f'  {ids[node]}["{node}"]' for node in nodes]
    return "\n".join(["graph LR", *lines, *[f'  {a} -->|"{label}"| {b}' for a, b, label in rows]])


def _edges(service: Service) -> Iterator[tuple[str, str]]:
    for ref in service.definitions.imports:
        yield f"{ref.namespace or service.namespace}/{ref.service}", "imports"
    definitions: tuple[KeyDef | FileDef | FromDef, ...] = service.definitions.env
    definitions += service.definitions.files + service.definitions.env_from
    for definition in definitions:
        expressions = [part for part in definition.value if isinstance(part, Expression)]
        for part in expressions:
            match part.reference:
                case ServiceKey(service=name, namespace=namespace):
                    yield f"{namespace or service.namespace}/{name}", definition.name
                case EnvironmentKey():
                    yield "environment", definition.name
                case StoreRead(store=store):
                    yield f"store {store}", definition.name
                case _:
                    pass
