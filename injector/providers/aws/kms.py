"""Opening a key that AWS KMS sealed: for files of SOPS, whose data key is sealed so."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from injector.core import errors
from injector.core.record import Record, hidden, replace
from injector.core.secret import Failure, LoginFailed
from injector.core.stores import Store
from injector.core.stores.aws import Aws, Place
from injector.providers import Access
from injector.providers.aws import client
from injector.providers.aws.failures import CallFailed
from injector.providers.aws.session import AwsSession


class SealedKey(Record):
    """A sealed key: the ARN of its KMS key, the ciphertext, and the context it is bound to."""

    arn: str
    data: bytes = hidden()
    context: Mapping[str, str]


def open_key(store: Store, spec: Aws, access: Access, sealed: tuple[SealedKey, ...]) -> bytes:
    """Return the key, opened in the first region of the store that can; raises LoginFailed."""
    session = _KeySession(store, spec, access)
    failed: Failure | None = None
    try:
        session.log_in()
        for place, key in product(spec.places, sealed):
            if key.arn.split(":")[3:4] != [place.region]:
                continue
            try:
                return session.opened(place, key)
            except CallFailed as call:
                failed = failed or call.failure
        if failed is None:
            there = ", ".join(key.arn for key in sealed)
            what = f"the file's keys are in none of the store's regions: {there[:200]}"
            failed = Failure(code=errors.UNAUTHENTICATED, what=what)
        raise LoginFailed(replace(failed, identity=session.identity))
    finally:
        session.close()


class _KeySession(AwsSession):
    """A session with KMS."""

    _service = client.KMS

    def opened(self, place: Place, key: SealedKey) -> bytes:
        """Return the plain key; raises CallFailed."""
        answer = self.ask(
            "decrypt",
            self._access.deadline,
            place=place,
            KeyId=key.arn,
            CiphertextBlob=key.data,
            EncryptionContext=dict(key.context),
        )
        plain = answer.get("Plaintext")
        if not isinstance(plain, bytes):
            raise CallFailed(Failure(code=errors.CONTENT, what="the answer holds no key"))
        return plain
