"""The options of `run`, `env` and `export`: whose values, and from which stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from injector.commands.laptop import Wanted

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "-f",
        "--filename",
        "filenames",
        multiple=True,
        required=True,
        metavar="FILE|DIR|-",
        help="Manifests: services, environments, workloads. May be given again.",
    ),
    click.option(
        "--service",
        "name",
        metavar="NAME",
        help="A service or workload of the files, where they hold several.",
    ),
    click.option("--container", metavar="NAME", help="A container of the workload."),
    click.option(
        "--env",
        "environment",
        metavar="ENVIRONMENT",
        help="The EnvironmentSecrets that $/KEY means, whatever it selects.",
    ),
    click.option(
        "--stores",
        "stores_file",
        metavar="FILE",
        help="Stores as this machine has them; .secret-injector/stores.yaml if it is there.",
    ),
    click.option(
        "--only",
        metavar="NAME,...",
        help="These variables and files alone; nothing else is fetched.",
    ),
    click.option(
        "-n",
        "--namespace",
        default="default",
        show_default=True,
        help="Namespace of what names none.",
    ),
)


def options(function: F) -> F:
    """Add the options; `wanted` makes a record of them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def wanted(given: dict[str, Any]) -> Wanted:
    """Return what the options say."""
    only = [name.strip() for name in (given.pop("only") or "").split(",")]
    return Wanted(only=tuple(name for name in only if name), **given)
