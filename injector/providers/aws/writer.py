"""Writing to Secrets Manager and Parameter Store: a secret is one JSON object, its keys the values.

Neither has check-and-set: of two who write at once, the last one wins. API references:
PutSecretValue, CreateSecret, DeleteSecret; PutParameter, DescribeParameters, DeleteParameter.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from injector.core import errors, secret
from injector.core.errors import FetchFailed, Problem
from injector.core.plan import Read
from injector.core.secret import Failure, Fields, NotJson, Secret
from injector.core.stores import Store
from injector.core.stores.aws import ParameterStore
from injector.providers import Access
from injector.providers.aws import session
from injector.providers.aws.api import Answer
from injector.providers.aws.failures import CallFailed
from injector.providers.aws.session import AwsSession
from injector.writers import Change, Held, Past, merged, refused, texts

_PAGES = 200


def open_writer(store: Store, access: Access) -> AwsWriter:
    """Return a writer that has logged in; raises LoginFailed."""
    kind = ParameterWriter if isinstance(store.spec, ParameterStore) else SecretWriter
    return kind(session.open_session(store, access), store.name, access)


class AwsWriter:
    """See `writers.Writer`; what differs between the two is in the subclasses."""

    def __init__(self, entered: AwsSession, name: str, access: Access) -> None:
        """Take over the session."""
        self._session, self._name, self._deadline = entered, name, access.deadline

    def names(self, folder: str = "") -> Sequence[str]:
        """Return all names, page by page."""
        raise NotImplementedError

    def history(self, name: str) -> Sequence[Past]:
        """Return the versions that AWS still has, oldest first."""
        raise NotImplementedError

    def read(self, name: str, version: str | None = None) -> Held | None:
        """Return the keys and values; a value that is no JSON object is refused."""
        answer = self._found(name, version)
        if answer is None:
            return None
        return Held(data=texts(self._object(answer, name)), version=answer.version or "")

    def change(self, name: str, change: Change) -> str:
        """Read, compute, write: see the module about others who write."""
        found = self._fields(name)
        after = change(None if found is None else texts(found))
        if after is None:
            self._delete(name)
            return ""
        if found is not None and dict(after) == texts(found):
            return ""
        text = json.dumps(merged(found or {}, after), ensure_ascii=False)
        return self._put(name, text, is_new=found is None)

    def close(self) -> None:
        """Leave."""
        self._session.close()

    def _put(self, name: str, text: str, *, is_new: bool) -> str:
        raise NotImplementedError

    def _delete(self, name: str) -> None:
        raise NotImplementedError

    def _fields(self, name: str) -> Fields | None:
        answer = self._found(name)
        return None if answer is None else self._object(answer, name)

    def _found(self, name: str, version: str | None = None) -> Secret | None:
        read = Read(store=0, path=name, version=version)
        answer = self._session.read([read], self._deadline)[read]
        if isinstance(answer, Failure):
            if answer.code is errors.MISSING:
                return None
            raise refused(answer, f"{self._name} {name}")
        return answer

    def _object(self, answer: Secret, name: str) -> Fields:
        data = answer.reveal()
        try:
            found = secret.parse_json(data) if isinstance(data, bytes) else data
        except NotJson:
            found = None
        if isinstance(found, Mapping):
            return found
        what = "its value is one text, not a JSON object with keys"
        hint = "change it with AWS's own tools, or delete it and set keys"
        source = f"{self._name} {name}"
        raise FetchFailed([Problem(code=errors.CONTENT, what=what, source=source, hint=hint)])

    def _ask(self, name: str, operation: str, **parameters: Any) -> Answer:
        try:
            return self._session.ask(operation, self._deadline, **parameters)
        except CallFailed as failed:
            self._refuse(failed, name)

    def _refuse(self, failed: CallFailed, name: str) -> NoReturn:
        failure = failed.failure
        if failure.code is errors.FORBIDDEN:
            hint = "docs/stores has the policy for who manages secrets"
            failure = Failure(
                code=failure.code,
                what="AWS does not let this identity do this",
                hint=hint,
                identity=self._session.identity,
            )
        raise refused(failure, f"{self._name} {name}".strip())

    def _pages(self, operation: str, **parameters: Any) -> Iterator[Answer]:
        token: dict[str, str] = {}
        for _ in range(_PAGES):
            answer = self._ask("", operation, **parameters, **token)
            yield answer
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}


class SecretWriter(AwsWriter):
    """Secrets Manager."""

    def names(self, folder: str = "") -> Sequence[str]:
        """Return the names of all secrets that are not marked for deletion."""
        del folder
        pages = self._pages("list_secrets", MaxResults=100)
        return sorted(str(entry["Name"]) for page in pages for entry in page.get("SecretList", ()))

    def history(self, name: str) -> Sequence[Past]:
        """Return all versions with an id; the state is its labels."""
        if self._fields(name) is None:
            return []
        pages = self._pages("list_secret_version_ids", SecretId=name, IncludeDeprecated=True)
        versions = [entry for page in pages for entry in page.get("Versions", ())]
        versions.sort(key=lambda entry: float(entry.get("CreatedDate") or 0.0))
        return [
            Past(
                version=str(entry.get("VersionId", "")),
                created=_date(entry.get("CreatedDate")),
                state=" ".join(entry.get("VersionStages", ())),
                keys=(),
            )
            for entry in versions
        ]

    def _put(self, name: str, text: str, *, is_new: bool) -> str:
        named = {"Name": name} if is_new else {"SecretId": name}
        operation = "create_secret" if is_new else "put_secret_value"
        return str(self._ask(name, operation, SecretString=text, **named).get("VersionId", ""))

    def _delete(self, name: str) -> None:
        """Mark it for deletion; AWS keeps it for its usual recovery window of 30 days."""
        self._ask(name, "delete_secret", SecretId=name)


class ParameterWriter(AwsWriter):
    """Parameter Store; new parameters are SecureStrings."""

    def names(self, folder: str = "") -> Sequence[str]:
        """Return the names of all parameters."""
        del folder
        pages = self._pages("describe_parameters", MaxResults=50)
        return sorted(str(entry["Name"]) for page in pages for entry in page.get("Parameters", ()))

    def history(self, name: str) -> Sequence[Past]:
        """Return the last hundred versions, which are all that AWS keeps."""
        if self._fields(name) is None:
            return []
        pages = self._pages("get_parameter_history", Name=name, MaxResults=50)
        return [
            Past(
                version=str(entry.get("Version", "")),
                created=_date(entry.get("LastModifiedDate")),
                state=" ".join(entry.get("Labels", ())),
                keys=(),
            )
            for page in pages
            for entry in page.get("Parameters", ())
        ]

    def _put(self, name: str, text: str, *, is_new: bool) -> str:
        kept: dict[str, Any] = {"Type": "SecureString"}
        if not is_new:  # AWS would go back to its default key and type otherwise
            by_name = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
            (about, *_) = self._ask(name, "describe_parameters", ParameterFilters=by_name).get(
                "Parameters"
            ) or [{}]
            kept = {k: about[k] for k in ("Type", "KeyId") if about.get(k)} or kept
        answer = self._ask(
            name,
            "put_parameter",
            Name=name,
            Value=text,
            Overwrite=not is_new,
            Tier="Intelligent-Tiering",
            **kept,
        )
        return str(answer.get("Version", ""))

    def _delete(self, name: str) -> None:
        self._ask(name, "delete_parameter", Name=name)


def _date(seconds: object) -> str:
    """Return seconds since 1970, as AWS's JSON has dates, in the form of RFC 3339."""
    if not isinstance(seconds, int | float):
        return ""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
