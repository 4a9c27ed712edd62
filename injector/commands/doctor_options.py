"""The options of `doctor --cluster`, as one value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from injector.commands.calling import refused
from injector.core.record import Record

F = TypeVar("F", bound=Callable[..., Any])


class Wanted(Record):
    """What the person said; what is None or empty is found out."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    image: str | None = None
    nodes: tuple[str, ...] = ()
    timeout_s: float = 90


_OPTIONS = (
    click.option(
        "--cluster",
        is_flag=True,
        help="Prove by a pod on each node that native variables work; say which nativeEnv to set.",
    ),
    click.option("--node", "nodes", metavar="NAME", multiple=True, help="Only this; repeatable."),
    click.option("-n", "--namespace", help="Where the pods are made; by default the release's."),
    click.option("--image", metavar="NAME", help="What they run; by default the release's image."),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=1),
        metavar="SECONDS",
        help="The longest that the pods may take; 90 by default.",
    ),
    click.option("--kubeconfig", metavar="FILE", help="As kubectl's."),
    click.option("--context", metavar="NAME", help="As kubectl's."),
)


def options(function: F) -> F:
    """Add the options; the command gets them as `wanted`, which is None without `--cluster`.

    Raises Refused (SI-201) where one of the others is given without it.
    """

    @functools.wraps(function)
    def with_wanted(
        *,
        cluster: bool,
        kubeconfig: str | None,
        context: str | None,
        namespace: str | None,
        image: str | None,
        nodes: tuple[str, ...],
        timeout_s: float | None,
        **rest: Any,
    ) -> Any:
        given = (kubeconfig, context, namespace, image, *nodes, timeout_s)
        if not cluster and any(each is not None for each in given):
            raise refused("--node, -n, --image, --timeout, --kubeconfig, --context need --cluster")
        wanted = Wanted(
            kubeconfig=kubeconfig,
            context=context,
            namespace=namespace,
            image=image,
            nodes=nodes,
            timeout_s=timeout_s or 90,
        )
        return function(wanted=wanted if cluster else None, **rest)

    added: Any = with_wanted
    for option in reversed(_OPTIONS):
        added = option(added)
    wrapped: F = added
    return wrapped
