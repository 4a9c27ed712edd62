"""Opening a key that AWS KMS sealed: for files of SOPS, whose data key is sealed so."""

from __future__ import annotations

from collections.abc import Mapping

from injector.core import errors
from injector.core.record import Record, hidden, replace
from injector.core.secret import Failure, LoginFailed
from injector.core.stores import Store
from injector.core.stores.address import Server
from injector.core.stores.aws import Aws
from injector.providers import Access
from injector.providers.aws import client, endpoints
from injector.providers.aws.failures import CallFailed
from injector.providers.aws.session import AwsSession


class SealedKey(Record):
    """A sealed key: the ARN of its KMS key, the ciphertext, and the context it is bound to."""

    arn: str
    data: bytes = hidden()
    context: Mapping[str, str]


def open_key(store: Store, spec: Aws, access: Access, sealed: tuple[SealedKey, ...]) -> bytes:
    """Return the key, opened in the first region of the store that can; raises LoginFailed."""
    failed: LoginFailed | None = None
    for site in spec.sites():
        keys = [key for key in sealed if key.arn.split(":")[3:4] == [site.name]]
        if keys and isinstance(site.spec, Aws):
            try:
                return _opened(_KeySession(store, site.spec, access, client.KMS), keys)
            except LoginFailed as failure:
                failed = failed or failure
    if failed is not None:
        raise failed
    there = ", ".join(key.arn for key in sealed)
    what = f"the file's keys are in none of the store's regions: {there[:200]}"
    raise LoginFailed(Failure(code=errors.UNAUTHENTICATED, what=what))


def servers(spec: Aws) -> tuple[Server, ...]:
    """Return the servers of the first region."""
    return endpoints.of(spec, client.KMS)


class _KeySession(AwsSession):
    """A session with KMS."""

    def opened(self, key: SealedKey) -> bytes:
        """Return the plain key; raises CallFailed."""
        answer = self.ask(
            "decrypt",
            self._access.deadline,
            KeyId=key.arn,
            CiphertextBlob=key.data,
            EncryptionContext=dict(key.context),
        )
        plain = answer.get("Plaintext")
        if not isinstance(plain, bytes):
            raise CallFailed(Failure(code=errors.CONTENT, what="the answer holds no key"))
        return plain


def _opened(session: _KeySession, keys: list[SealedKey]) -> bytes:
    """Return what the first key opens that this region and identity can; closes the session."""
    failures: list[Failure] = []
    try:
        session.log_in()
        for key in keys:
            try:
                return session.opened(key)
            except CallFailed as call:
                failures.append(call.failure)
    finally:
        session.close()
    raise LoginFailed(replace(failures[0], identity=session.identity))
