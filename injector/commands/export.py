"""`secret-injector export`: a service's values in the form that another tool reads."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import click

from injector.commands import laptop, service_options
from injector.commands.calling import call, refused
from injector.commands.laptop import Values
from injector.core import dotenv_export, errors
from injector.core.errors import DeliveryFailed, Problem
from injector.core.plan_codec import FILE_SEGMENT

_SECRET_KEY = re.compile(r"(?!\.\.?\Z)[-._a-zA-Z0-9]{1,253}")

EXAMPLES = """\b
Examples:
  secret-injector export -f service.yaml -o dotenv > .env
  secret-injector export -f service.yaml -o dotenv --for docker > docker.env
  eval "$(secret-injector export -f service.yaml -o shell)"
  secret-injector export -f service.yaml -o k8s | kubectl apply -f -
  docker build $(secret-injector export -f service.yaml -o docker-build --files build/secrets) .
"""


@click.command("export", epilog=EXAMPLES)
@service_options.options
@click.option("--reveal", is_flag=True, help="Show the values also on a terminal.")
@click.option("--files", "folder", metavar="DIR", help="Where docker-build writes a file for each.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["dotenv", "json", "k8s", "shell", "docker-build"]),
    required=True,
    help="The form; docker-build writes files and prints the --secret flags that name them.",
)
@click.option(
    "--for",
    "readers",
    multiple=True,
    type=click.Choice(dotenv_export.READERS),
    help="Who reads the dotenv file; all of them unless given. May be repeated.",
)
def _command(
    *, reveal: bool, folder: str | None, output: str, readers: tuple[str, ...], **given: Any
) -> int:
    """Write a service's variables to standard output, in the form of another tool.

    A value that a tool would read differently, or run, is refused.
    """
    if readers and output != "dotenv":
        raise refused("--for belongs to -o dotenv")
    is_build = output == "docker-build"
    if is_build != (folder is not None):
        raise refused("--files DIR and -o docker-build belong together")
    if not is_build and not reveal and sys.stdout.isatty():
        hint = "redirect it to a file or a program, or add --reveal"
        raise refused("standard output is a terminal, which keeps what it shows", hint=hint)
    values = laptop.values(service_options.wanted(given))
    if folder is not None:
        _check_files(values)
        written = [*((name, data, None) for name, data in values.env), *values.files]
        laptop.write_files(Path(folder), written)
        flags = [f"--secret=id={name},src={folder}/{name}" for name, _, _ in written]
        click.echo("\n".join(flags))
    elif output == "k8s":
        click.echo(secret_text(values))
    else:
        texts = _texts(values)
        if output == "dotenv":
            text, problems = dotenv_export.dotenv(texts, readers or dotenv_export.READERS)
        else:
            text, problems = shell_lines(texts) if output == "shell" else (json_text(texts), [])
        if problems:
            raise DeliveryFailed(problems)
        click.echo(text, nl=False)
    return errors.OK


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return call(_command, argv, "export")


def _texts(values: Values) -> dict[str, str]:
    """Return the variables as text; raises DeliveryFailed with every one that is none."""
    found, problems = {}, []
    for name, data in values.env:
        try:
            found[name] = data.decode("utf-8")
        except UnicodeDecodeError:
            what, hint = "the value is not UTF-8", "-o k8s and -o docker-build carry any bytes"
            problems.append(Problem(code=errors.NOT_CARRIABLE, what=what, target=name, hint=hint))
    if problems:
        raise DeliveryFailed(problems)
    return found


def _check_files(values: Values) -> None:
    """Raise DeliveryFailed with every variable whose name is none of a file, or of an id."""
    what, hint = "the name is not one of a file", "use -o json or k8s, or rename it"
    wrong = [name for name, _ in values.env if not FILE_SEGMENT.fullmatch(name)]
    if wrong:
        raise DeliveryFailed(
            Problem(code=errors.NAME, what=what, target=name, hint=hint) for name in wrong
        )


def json_text(texts: Mapping[str, str]) -> str:
    """Return one JSON object."""
    return json.dumps(texts, indent=2, ensure_ascii=False) + "\n"


def shell_lines(texts: Mapping[str, str]) -> tuple[str, list[Problem]]:
    """Return lines for `eval`, and everything that a shell could not take."""
    problems = dotenv_export.name_problems(texts, [dotenv_export.SHELL])
    problems += [
        Problem(code=errors.NOT_CARRIABLE, what="the value holds a NUL byte", target=name)
        for name, text in texts.items()
        if "\0" in text
    ]
    return "".join(f"export {name}={quote(text)}\n" for name, text in texts.items()), problems


def secret_text(values: Values) -> str:
    """Return a Secret as JSON, which kubectl reads as well as YAML; files are keys beside it.

    Raises DeliveryFailed for what is not a key there, or would be the same one.
    """
    found = [*values.env, *((path.replace("/", "."), value) for path, value, _ in values.files)]
    data, problems = {}, []
    for name, value in found:
        if not _SECRET_KEY.fullmatch(name):
            what = "the name is not one of a key in a Secret"
            problems.append(Problem(code=errors.NAME, what=what, target=name))
        elif name in data:
            what = "two values would be the same key of the Secret"
            problems.append(Problem(code=errors.DUPLICATE, what=what, target=name))
        data[name] = base64.b64encode(value).decode()
    if problems:
        raise DeliveryFailed(problems)
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": values.name, "namespace": values.namespace},
        "type": "Opaque",
        "data": data,
    }
    return json.dumps(document, indent=2)
