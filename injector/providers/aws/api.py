"""One region of one service: calls with a time limit, a few at once, failures as one exception."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from injector.core import errors
from injector.core.plan import Read
from injector.core.secret import Failure, Secret
from injector.deadline import Deadline
from injector.providers.aws import failures
from injector.providers.aws.client import MAX_CONNECTIONS
from injector.providers.aws.failures import CallFailed

Answer = Mapping[str, Any]
Found = dict[Read, Secret | Failure]

UNREADABLE = Failure(code=errors.CONTENT, what="the answer is not what AWS documents")

# What botocore's parsers raise for a body that is not AWS's: JSON of another shape, or too deep.
_UNPARSED = (
    AttributeError,
    LookupError,
    RecursionError,
    ResponseParserError,
    TypeError,
    ValueError,
)


class Api:
    """A client for the time of one read; `is_temporary`: its credentials can be renewed."""

    def __init__(
        self, client: Any, *, timeout_s: float, deadline: Deadline, is_temporary: bool
    ) -> None:
        """Keep them; nothing is called yet."""
        self._client, self._timeout_s, self._deadline = client, timeout_s, deadline
        self._is_temporary = is_temporary
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)

    async def call(self, operation: str, **parameters: Any) -> Answer:
        """Return the parsed answer to one request; raises CallFailed."""
        async with self._slots:
            limit_s = self._deadline.bound_s(self._timeout_s)
            try:
                async with asyncio.timeout(limit_s):
                    answer: Answer = await getattr(self._client, operation)(**parameters)
                    return answer
            except TimeoutError:
                what = f"no answer within {limit_s:.3g} s"
                raise CallFailed(Failure(code=errors.DOWN, what=what)) from None
            except ClientError as error:
                raise failures.of_answer(error.response, is_temporary=self._is_temporary) from None
            except _UNPARSED:
                raise CallFailed(UNREADABLE) from None
            except BotoCoreError as error:
                what = f"the AWS library stops: {type(error).__name__}"
                raise CallFailed(Failure(code=errors.INTERNAL_ERROR, what=what)) from None


def as_secret(value: object, version: object) -> Secret | Failure:
    """Return the secret for a text or bytes that an answer holds, or why it is none."""
    data = value.encode() if isinstance(value, str) else value
    if not isinstance(data, bytes):
        return UNREADABLE
    return Secret(data, version=None if version is None else str(version))
