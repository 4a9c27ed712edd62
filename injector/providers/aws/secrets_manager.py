"""Reading from Secrets Manager: twenty secrets a call, one by one where that is not possible."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from injector.core import errors
from injector.core.plan import Read
from injector.core.secret import Failure, Secret
from injector.providers.aws import api, failures
from injector.providers.aws.api import Answer, Api, Found
from injector.providers.aws.failures import CallFailed

BATCH = 20
_RANDOM_END = re.compile(r"-[A-Za-z0-9]{6}")
_VERSION_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


async def read(of: Api, reads: Sequence[Read]) -> Found:
    """Return a secret or a failure for each read; raises nothing."""
    current = [read for read in reads if read.version is None]
    if len(current) < 2:
        current = []  # GetSecretValue needs one permission less than a batch of one
    alone = [read for read in reads if read not in current]
    chunks = [current[start : start + BATCH] for start in range(0, len(current), BATCH)]
    answers = await asyncio.gather(
        *(_read_batch(of, chunk) for chunk in chunks), *(_read_one(of, one) for one in alone)
    )
    return {read: found for answer in answers for read, found in answer.items()}


async def _read_batch(of: Api, reads: Sequence[Read]) -> Found:
    """Read current versions together; whatever the batch leaves open is read alone.

    Without the permission for batches, with values too large together, or where one member makes
    AWS refuse the call, that is all of them: what a call says as a whole is no answer about a
    secret, and a reference's default may stand in for a value that exists.
    """
    found: Found = {}
    token: dict[str, str] = {}
    try:
        for _ in range(BATCH):  # each page but an empty one holds a secret at least
            answer = await of.call(
                "batch_get_secret_value", SecretIdList=[read.path for read in reads], **token
            )
            _sort_out(answer, reads, found)
            if not answer.get("NextToken"):
                break
            token = {"NextToken": answer["NextToken"]}
    except CallFailed as failed:
        if failed.is_of_all:
            return {read: found.get(read, failed.failure) for read in reads}
    rest = await asyncio.gather(*(_read_one(of, read) for read in reads if read not in found))
    for one in rest:
        found.update(one)
    return found


def _sort_out(answer: Answer, reads: Sequence[Read], found: Found) -> None:
    """Put each entry of a batch's answer to the read that asked for it."""
    for entry in answer.get("SecretValues", ()):
        for read in reads:
            if _is_meant(read.path, entry):
                found[read] = _secret(entry)
    for entry in answer.get("Errors", ()):
        for read in reads:
            if read.path == entry.get("SecretId"):
                found[read] = failures.of_code(
                    str(entry.get("ErrorCode", "")), str(entry.get("Message", ""))
                )


def _is_meant(path: str, entry: Mapping[str, Any]) -> bool:
    """Say whether the path is the entry's name or ARN, which may lack its random six characters."""
    arn = str(entry.get("ARN", ""))
    if path.startswith("arn:"):
        return path == arn or _RANDOM_END.fullmatch(arn.removeprefix(path)) is not None
    return path == entry.get("Name")


async def _read_one(of: Api, read: Read) -> Found:
    version: dict[str, str] = {}
    if read.version is not None:
        is_id = _VERSION_ID.fullmatch(read.version)
        version = {"VersionId" if is_id else "VersionStage": read.version}
    try:
        answer = await of.call("get_secret_value", SecretId=read.path, **version)
    except CallFailed as failed:
        found = failed.failure
        if found.code is errors.MISSING and version:
            found = Failure(code=found.code, what="no such secret or version", hint=found.hint)
        return {read: found}
    return {read: _secret(answer)}


def _secret(entry: Answer) -> Secret | Failure:
    value = entry.get("SecretString")
    if value is None:
        value = entry.get("SecretBinary")
    return api.as_secret(value, entry.get("VersionId"))
