"""Encrypting a JSON document as SOPS does, for tests without its program; real files judge it."""

import base64
import hashlib
import json
import os

import pyrage
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MODIFIED = "2026-01-01T00:00:00Z"


def for_age(recipient):
    """Return how a data key is sealed for an age recipient: name and entry of the metadata."""

    def seal(key):
        enc = pyrage.encrypt(key, [recipient], armored=True).decode()
        return "age", {"recipient": str(recipient), "enc": enc}

    return seal


def encrypt(document, sealed):
    """Return the encrypted file of a document of mappings and texts; `sealed` seals its key."""
    key = os.urandom(32)
    hashed = hashlib.sha512()

    def seal(text, additional):
        nonce = os.urandom(32)
        sealed = AESGCM(key).encrypt(nonce, text.encode(), additional.encode())
        data, iv, tag = (
            base64.b64encode(part).decode() for part in (sealed[:-16], nonce, sealed[-16:])
        )
        return f"ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:str]"

    def node(of, path):
        if isinstance(of, dict):
            return {name: node(value, (*path, name)) for name, value in of.items()}
        hashed.update(of.encode())
        return seal(of, ":".join(path) + ":") if of else ""

    tree = node(document, ())
    service, entry = sealed(key)
    tree["sops"] = {
        service: [entry],
        "lastmodified": _MODIFIED,
        "mac": seal(hashed.hexdigest().upper(), _MODIFIED),
        "version": "3.13.3",
    }
    return json.dumps(tree).encode()
