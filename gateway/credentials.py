"""Who sent a request: by a key, or by a token of an identity provider."""

import time

from gateway.auth.key import Key
from gateway.errors import wrong_key
from gateway.gate import Gate


def caller(gate: Gate, authorization: bytes) -> Key | None:
    """Microseconds. None: a token that `resolve` must look into. Raises ApiError(401, or 403 for a token)."""
    plaintext = _plaintext(authorization)
    if gate.tokens.takes(plaintext):
        return gate.tokens.caller(plaintext)
    key = gate.keys.caller(plaintext, time.time())
    if key is None:
        raise wrong_key()
    return key


async def resolve(gate: Gate, authorization: bytes) -> Key:
    """As `caller`, and waits for an identity provider's keys, or for a row, where it must."""
    return caller(gate, authorization) or await gate.tokens.resolve(_plaintext(authorization))


def _plaintext(authorization: bytes) -> str:
    scheme, _, plaintext = authorization.decode("latin-1").partition(" ")
    return plaintext.strip() if scheme.lower() == "bearer" else ""
