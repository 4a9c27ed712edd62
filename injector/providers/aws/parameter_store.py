"""Reading from Parameter Store: ten parameters a call, whole levels of a tree page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from injector.core import errors
from injector.core.plan import Read
from injector.core.secret import MAX_DOCUMENT_BYTES, Failure, Fields, Secret
from injector.core.stores.aws import TREE
from injector.providers.aws import api
from injector.providers.aws.api import UNREADABLE, Answer, Api, Found
from injector.providers.aws.failures import CallFailed

BATCH = 10
_MISSING = Failure(code=errors.MISSING, what="no such parameter")
_MISSING_VERSION = Failure(code=errors.MISSING, what="no such parameter or version")


async def read(of: Api, reads: Sequence[Read]) -> Found:
    """Return a secret or a failure for each read; raises nothing."""
    trees = [read for read in reads if read.path.endswith(TREE)]
    chunks = _chunks([read for read in reads if read not in trees])
    answers = await asyncio.gather(
        *(_read_batch(of, chunk) for chunk in chunks), *(_read_tree(of, tree) for tree in trees)
    )
    return {read: found for answer in answers for read, found in answer.items()}


def _chunks(reads: Sequence[Read]) -> list[list[Read]]:
    """Return the reads in calls of ten, each parameter once a call, whatever the version."""
    chunks: list[list[Read]] = []
    for read in reads:
        for chunk in chunks:
            if len(chunk) < BATCH and all(read.path != other.path for other in chunk):
                chunk.append(read)
                break
        else:
            chunks.append([read])
    return chunks


async def _read_batch(of: Api, reads: Sequence[Read]) -> Found:
    """Read parameters together; what the call leaves open or refuses as a whole is read one by one.

    AWS refuses all of a call when one of its parameters, or the key of one, is not allowed; what it
    says then is no answer about any one of them.
    """
    found: Found = {}
    try:
        answer = await of.call(
            "get_parameters", Names=[_selected(read) for read in reads], WithDecryption=True
        )
    except CallFailed as failed:
        if failed.is_of_all or len(reads) == 1:
            return dict.fromkeys(reads, failed.failure)
    else:
        found = _sorted_out(answer, reads)
    for one in await asyncio.gather(
        *(_read_batch(of, [read]) for read in reads if read not in found)
    ):
        found.update(one)
    return found


def _sorted_out(answer: Answer, reads: Sequence[Read]) -> Found:
    """Return each entry under the read that asked for it; of a call for one, nothing stays open."""
    invalid = answer.get("InvalidParameters", ())
    by_name: dict[str, Answer] = {}
    for entry in answer.get("Parameters", ()):
        for name in (entry.get("Name"), entry.get("ARN")):
            by_name[f"{name}{entry.get('Selector') or ''}"] = entry
            by_name[f"{name}:{entry.get('Version')}"] = entry
    found: Found = {}
    for read in reads:
        if (meant := by_name.get(_selected(read))) is not None:
            found[read] = _secret(meant)
        elif _selected(read) in invalid or read.path in invalid:
            found[read] = _MISSING if read.version is None else _MISSING_VERSION
    if len(reads) == 1 and not found:
        # Not every emulator says which label it was asked for; of one name, one parameter comes.
        is_label = not (reads[0].version or "0").isdigit()
        found[reads[0]] = _secret(by_name.get(reads[0].path, {}) if is_label else {})
    return found


def _secret(entry: Answer) -> Secret | Failure:
    return api.as_secret(entry.get("Value"), entry.get("Version"))


def _selected(read: Read) -> str:
    return read.path if read.version is None else f"{read.path}:{read.version}"


async def _read_tree(of: Api, read: Read) -> Found:
    """Read every parameter one level below the path as one map, by the last part of its name."""
    level = read.path.removesuffix(TREE)
    values: dict[str, Any] = {}
    size = 0
    token: dict[str, str] = {}
    while True:
        try:
            answer = await of.call(
                "get_parameters_by_path", Path=level, Recursive=False, WithDecryption=True, **token
            )
        except CallFailed as failed:
            return {read: failed.failure}
        page = answer.get("Parameters")
        if page is None:
            return {read: UNREADABLE}
        for entry in page:
            name, value = entry.get("Name"), entry.get("Value")
            if not isinstance(name, str) or not isinstance(value, str):
                return {read: UNREADABLE}
            values[name.rpartition("/")[2]] = value
            size += len(name) + len(value)
        if size > MAX_DOCUMENT_BYTES:
            return {read: Failure(code=errors.BODY, what="the tree is larger than 8 MiB")}
        following = answer.get("NextToken")
        if not following or following == token.get("NextToken"):
            break
        token = {"NextToken": following}
    if not values:
        return {read: Failure(code=errors.MISSING, what=f"no parameters below {level}")}
    fields: Fields = values
    return {read: Secret(fields)}
