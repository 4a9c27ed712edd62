"""The definitions of what only a laptop has: dotenv files, and the command's own environment."""

from __future__ import annotations

import re

from injector.core import reference
from injector.core.fields import Fields
from injector.core.stores import Spec

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,252}")
_ELSEWHERE = "is for laptops; in a cluster nobody would know whose files or variables are meant"
_NO_VERSIONS = "there are no versions to pin"


class Dotenv(Spec):
    """One file whose every variable is a secret, or a folder with a file `PATH.env` for each."""

    file: str | None
    folder: str | None

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """A path is the name of a variable, or of a file below the folder without its .env."""
        del field
        if version is not None:
            return _NO_VERSIONS
        if self.folder is None:
            return _variable_problem(path)
        if path.startswith("/"):
            return "the path of a file below the folder does not start with a slash"
        return reference.path_problem(path)


class Environment(Spec):
    """The variables that the command itself was started with; `prefix` stands before each name."""

    prefix: str

    def path_problem(self, path: str, field: str | None, version: str | None) -> str | None:
        """A path is the name of a variable."""
        del field
        return _NO_VERSIONS if version is not None else _variable_problem(path)


def parse(fields: Fields, *, in_cluster: bool) -> Dotenv:
    """Return the definition of a `dotenv` store; problems go to the fields."""
    if in_cluster:
        fields.problem("", _ELSEWHERE)
    member = fields.one_of(("file", "folder"))
    place = fields.text(member) if member is not None else ""
    fields.finish()
    return Dotenv(
        file=place if member == "file" else None, folder=place if member == "folder" else None
    )


def parse_environment(fields: Fields, *, in_cluster: bool) -> Environment:
    """Return the definition of an `env` store; problems go to the fields."""
    if in_cluster:
        fields.problem("", _ELSEWHERE)
    prefix = fields.text("prefix", default="", pattern=NAME, form="the start of a name")
    fields.finish()
    return Environment(prefix=prefix)


def _variable_problem(path: str) -> str | None:
    return None if NAME.fullmatch(path) else "the path is the name of a variable"
