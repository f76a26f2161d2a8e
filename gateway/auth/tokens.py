"""Bearer tokens (JWT) of an identity provider in the place of keys.

A token is verified once and then known by its hash until it expires, so that a request costs as little as with a key.
Whoever comes with one for the first time gets a row among the keys, without a secret: usage, limits and revocation are
by rows. What the token's claims grant is decided by the settings, each time anew.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import jwt

from gateway import keys as actions
from gateway.auth import store
from gateway.auth.jwks import Jwks
from gateway.auth.key import PERSON, Key
from gateway.auth.ring import KeyRing
from gateway.errors import ApiError
from gateway.log import say
from lifecycle.sections.gateway import Oidc

LEEWAY_S = 30.0
LONGEST = 16384
MOST_KNOWN = 10_000
LOOK_S = 60.0
FOREVER = 1e12

OWN_CLOCK = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
"""Times are checked here, by our clock, also each time a known token comes again."""


@dataclass(frozen=True, slots=True)
class Known:
    """A token that was verified: whose it is, what it claims, and with which keys and teams `key` was made."""

    provider: Oidc
    claims: Mapping[str, object]
    expires_at: float
    key: Key
    generation: int


class Tokens:
    def __init__(
        self,
        providers: Mapping[str, Oidc],
        ring: KeyRing,
        see: Callable[[str, str, str], None],
        clock: Callable[[], float] = time.time,
    ):
        """`see(prefix, name, issuer)` writes the row of somebody new; it may block."""
        self._ring = ring
        self._see = see
        self._clock = clock
        self._sets = {provider.issuer: (provider, Jwks(provider)) for provider in providers.values()}
        self._known: dict[bytes, Known] = {}

    def takes(self, plaintext: str) -> bool:
        """Does it look like one, and is there anybody who could have signed it?"""
        return bool(self._sets) and plaintext.startswith("ey") and plaintext.count(".") == 2

    def caller(self, plaintext: str) -> Key | None:
        """Whose token this is; None: only `resolve` can tell. ApiError(401 or 403) says what is wrong with it."""
        digest = hashlib.sha256(plaintext.encode("utf-8", "surrogateescape")).digest()
        known = self._known.get(digest)
        now = self._clock()
        if known is not None and known.generation == self._ring.generation and now < known.expires_at:
            return known.key
        if known is None or now >= known.expires_at:
            self._known.pop(digest, None)
            verified = self._verify(plaintext, now)
            if verified is None:
                return None
            provider, claims = verified
        else:
            provider, claims = known.provider, known.claims
        person = self._ring.people.get(prefix_of(claims))
        if person is None:
            return None
        if person.revoked_at is not None:
            raise _no("The gateway's operator has revoked your access.")
        key = self._granted(provider, claims, person)
        while len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        until = float(min(claims["exp"], FOREVER)) + LEEWAY_S
        self._known[digest] = Known(provider, claims, until, key, self._ring.generation)
        return key

    async def resolve(self, plaintext: str) -> Key:
        """As `caller`, for a token whose signer's key must be fetched, or of somebody who comes for the first time."""
        for _ in range(2):
            if (key := self.caller(plaintext)) is not None:
                return key
            provider, jwks = self._signer(plaintext)
            if (verified := self._verify(plaintext, self._clock())) is None:
                await jwks.fetch()
                verified = self._verify(plaintext, self._clock())
            if verified is None:
                break
            claims = verified[1]
            if prefix_of(claims) not in self._ring.people:
                await asyncio.to_thread(self._see, prefix_of(claims), _name(provider, claims), provider.issuer)
                self._ring.refresh()
        if jwks.problem:
            raise ApiError(503, f"{jwks.problem} Try again soon.", "server_error", "identity_unavailable", 10)
        raise _no("It was signed with a key that its issuer does not have (any more). Get a new token.")

    async def run(self) -> None:
        """Until cancelled: keep the signers' keys fresh."""
        while True:
            for _, jwks in self._sets.values():
                if jwks.is_old:
                    await jwks.fetch()
            await asyncio.sleep(LOOK_S)

    def _signer(self, plaintext: str) -> tuple[Oidc, Jwks]:
        if len(plaintext) > LONGEST:
            raise _no("It is longer than 16 KiB.")
        try:
            claims = jwt.decode(plaintext, options={"verify_signature": False})
        except jwt.PyJWTError:
            raise _no("It can't be read.") from None
        found = self._sets.get(claims.get("iss")) if isinstance(claims.get("iss"), str) else None
        if found is None:
            raise _no("Its issuer is none that this gateway trusts.")
        return found

    def _verify(self, plaintext: str, now: float) -> tuple[Oidc, Mapping[str, object]] | None:
        """(provider, claims); None: its key may be new. ApiError(401)."""
        provider, jwks = self._signer(plaintext)
        header = jwt.get_unverified_header(plaintext)
        algorithm = header.get("alg")
        if algorithm not in provider.algorithms:
            raise _no(f"It must be signed with {' or '.join(provider.algorithms)}.")
        kid = header.get("kid")
        key = jwks.keys.get(kid or "") or (next(iter(jwks.keys.values())) if not kid and len(jwks.keys) == 1 else None)
        if key is None:
            if jwks.may_fetch:
                return None
            if jwks.problem:
                raise ApiError(503, f"{jwks.problem} Try again soon.", "server_error", "identity_unavailable", 10)
            raise _no("It was signed with a key that its issuer does not have (any more). Get a new token.")
        try:
            claims = jwt.decode(
                plaintext,
                key.key,
                algorithms=[algorithm],
                audience=provider.audience,
                issuer=provider.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"], **OWN_CLOCK},
            )
        except jwt.InvalidAudienceError:
            raise _no("It was made for somebody else: its audience is not this gateway.") from None
        except jwt.MissingRequiredClaimError as error:
            raise _no(f"It has no claim {error.claim}.") from None
        except (jwt.PyJWTError, TypeError, ValueError):
            raise _no("Its signature is wrong.") from None
        _check_times(claims, now)
        return provider, claims

    def _granted(self, provider: Oidc, claims: Mapping[str, object], person: Key) -> Key:
        """The row of that person with what the claims grant. ApiError(403) when that is nothing."""
        grants = [grant for grant in provider.grants.values() if _holds(claims.get(grant.claim), grant.value)]
        if not grants:
            sentence = f"{provider.issuer} knows you, but no group of yours may use this gateway. Ask its operator."
            raise ApiError(403, sentence, "permission_error", "no_grant")
        everything = any(not grant.models for grant in grants)
        key = replace(
            person,
            name=_name(provider, claims),
            team=next((grant.team for grant in grants if grant.team), ""),
            tags=frozenset(tag for grant in grants for tag in grant.tags),
            models=() if everything else tuple(sorted({glob for grant in grants for glob in grant.models})),
            priority=max(grant.priority for grant in grants),
        )
        return store.bound(key, self._ring.teams.get(key.team))


def prefix_of(claims: Mapping[str, object]) -> str:
    """What stands in the place of a key's prefix: the same for the same person, however often the token changes."""
    subject = f"{claims['iss']}\n{claims['sub']}"
    return f"oidc-{hashlib.sha256(subject.encode()).hexdigest()[:16]}"


def seer(database: Path) -> Callable[[str, str, str], None]:
    """Writes the row of somebody new."""

    def see(prefix: str, name: str, issuer: str) -> None:
        actions.meet(database, prefix, name, issuer, PERSON)
        say("oidc.met", prefix=prefix, issuer=issuer)

    return see


def _name(provider: Oidc, claims: Mapping[str, object]) -> str:
    return str(claims.get(provider.name_claim) or claims["sub"])[:200]


def _holds(value: object, glob: str) -> bool:
    """Is it that, or is one of them?"""
    if isinstance(value, list):
        return any(_holds(one, glob) for one in value)
    return isinstance(value, (str, int)) and fnmatchcase(str(value), glob)


def _check_times(claims: Mapping[str, object], now: float) -> None:
    expires, begins = claims["exp"], claims.get("nbf", 0)
    if not all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (expires, begins)):
        raise _no("Its times are no numbers.")
    if now - LEEWAY_S >= expires:
        raise _no("It has expired. Get a new one.")
    if now + LEEWAY_S < begins:
        raise _no("It is not valid yet.")


def _no(why: str) -> ApiError:
    return ApiError(401, f"This token is not accepted. {why}", "authentication_error", "invalid_token")
