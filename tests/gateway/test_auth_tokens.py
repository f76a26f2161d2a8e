"""Tokens of an identity provider, from a real one on a real port: who is taken, as whom, and who is not."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bot.checks.identity import identity
from gateway import keys
from gateway.auth import jwks
from gateway.auth.key import Key
from gateway.auth.ring import KeyRing
from gateway.auth.tokens import MOST_KNOWN, Tokens, prefix_of, seer
from gateway.errors import ApiError
from gateway.store import open_store
from lifecycle.sections.gateway import Gateway, Grant, Oidc
from lifecycle.settings import Settings
from tests.gateway.identity import AUDIENCE, Identity

GRANTS = {
    "people": Grant(value="ml-*", team="red", tags=("stable",), models=("org/*",)),
    "leads": Grant(value="leads", tags=("preview",), priority=7),
}


@dataclass
class Place:
    path: Path
    identity: Identity
    ring: KeyRing
    now: float = field(default_factory=time.time)

    def tokens(self, **more: object) -> Tokens:
        settings = {"issuer": self.identity.issuer, "audience": AUDIENCE, "grants": GRANTS, **more}
        return Tokens({"corp": Oidc(**settings)}, self.ring, seer(self.path), lambda: self.now)

    def refused(self, tokens: Tokens, token: str) -> ApiError:
        with pytest.raises(ApiError) as refused:
            asyncio.run(tokens.resolve(token))
        assert token not in str(refused.value) and refused.value.status in (401, 403, 503)
        return refused.value

    def key(self, tokens: Tokens, token: str) -> Key:
        return asyncio.run(tokens.resolve(token))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    path = tmp_path / "gateway.db"
    open_store(path).close()
    identity = Identity()
    identity.add("one")
    ring = KeyRing(path)
    yield Place(path, identity, ring)
    ring.close()
    identity.close()


def test_a_token_is_a_key_with_what_its_groups_grant(place: Place) -> None:
    """Team, tags and models by the settings; the row is the same for the same person, whatever the token."""
    tokens = place.tokens()
    key = place.key(tokens, place.identity.token())
    assert (key.name, key.team, key.tags, key.models) == ("u-1@example.org", "red", {"stable"}, ("org/*",))
    lead = place.key(tokens, place.identity.token(groups=["ml-x", "leads"]))
    assert (lead.id, lead.tags, lead.models, lead.priority) == (key.id, {"stable", "preview"}, (), 7)
    other = place.key(tokens, place.identity.token(sub="u-2", email=None, groups="ml-solo"))
    assert other.id != key.id and other.name == "u-2"
    db = open_store(place.path)
    assert {one.prefix for one in keys.list_keys(db)} == {key.prefix, other.prefix}
    db.close()


def test_a_known_token_costs_neither_a_signature_nor_a_question(place: Place) -> None:
    """The second time it is found by its hash; when it has expired it is not."""
    tokens, token = place.tokens(), place.identity.token()
    key = place.key(tokens, token)
    asked = len(place.identity.asked)
    tokens._verify = lambda *_: pytest.fail("verified again")
    assert tokens.caller(token) is key and len(place.identity.asked) == asked
    del tokens._verify
    place.now += 400
    assert "expired" in str(place.refused(tokens, token))


def test_limits_and_revocation_of_a_person_are_live(place: Place) -> None:
    """Their row is a key's row: what an operator does to it holds for every token, also a known one."""
    tokens, token = place.tokens(), place.identity.token()
    key = place.key(tokens, token)
    db = open_store(place.path)
    keys.change(db, key.prefix, {"limits": {"requests_per_minute": 3}})
    keys.set_team(db, "red", limits={"tokens_per_day": 9})
    place.ring.refresh()
    changed = tokens.caller(token)
    assert changed.limits.requests_per_minute == 3 and changed.team_limits.tokens_per_day == 9
    assert changed.tags == {"stable"}
    keys.revoke(db, key.prefix)
    place.ring.refresh()
    assert "revoked" in str(place.refused(tokens, token))
    db.close()


def forged(claims: dict, header: dict, signature: bytes = b"x") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_forged_tokens_are_refused(place: Place) -> None:
    """No signature, our public key as an HMAC secret, somebody else's key, a changed claim, another issuer."""
    tokens, identity = place.tokens(), place.identity
    claims = jwt.decode(identity.token(), options={"verify_signature": False})
    public = identity.keys["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert "signed with RS256" in str(place.refused(tokens, forged(claims, {"alg": "none", "kid": "one"}, b"")))
    unsigned = forged(claims, {"alg": "HS256", "kid": "one"}, b"").rstrip(".")
    signature = base64.urlsafe_b64encode(hmac.new(public, unsigned.encode(), hashlib.sha256).digest()).rstrip(b"=")
    assert "signed with RS256" in str(place.refused(tokens, f"{unsigned}.{signature.decode()}"))
    stranger = Identity()
    stranger.add("one")
    theirs = stranger.token(iss=identity.issuer)
    alien = stranger.token()
    stranger.close()
    assert "signature" in str(place.refused(tokens, theirs))
    assert "issuer" in str(place.refused(tokens, alien))
    head, _, tail = identity.token().split(".")
    body = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "root"}).encode()).rstrip(b"=").decode()
    assert "signature" in str(place.refused(tokens, f"{head}.{body}.{tail}"))
    for nonsense in ("eyJ.eyJ.x", "ey..", forged({"iss": 5}, {"alg": "RS256"}), "ey" + "a" * 20000 + ".b.c"):
        assert place.refused(tokens, nonsense).status == 401


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1.0}, "expired"), ({"aud": "somebody"}, "audience"), ({"aud": None}, "aud"), ({"exp": None}, "exp"),
        ({"sub": None}, "sub"), ({"nbf": time.time() + 3600}, "not valid yet"), ({"groups": ["sales"]}, "no group"),
        ({"groups": None}, "no group"), ({"exp": 10**400}, ""),
    ],
)  # fmt: skip
def test_what_a_token_claims_must_be_right(place: Place, claims: dict, reason: str) -> None:
    """Each wrong claim has its sentence; a token that nearly never expires is still only a token."""
    tokens, token = place.tokens(), place.identity.token(**claims)
    if reason:
        assert reason in str(place.refused(tokens, token))
    else:
        assert place.key(tokens, token).name == "u-1@example.org"


def test_the_providers_new_keys_are_fetched_when_they_are_needed(place: Place, monkeypatch) -> None:
    """After a rotation the first token with the new key is taken; invented key ids ask nobody more than once."""
    monkeypatch.setattr(jwks, "RETRY_S", 600.0)
    tokens = place.tokens()
    place.key(tokens, place.identity.token())
    place.identity.add("two")
    fresh = place.identity.token("two")
    assert "key" in str(place.refused(tokens, fresh))  # fetched a moment ago: not again so soon
    monkeypatch.setattr(jwks, "RETRY_S", 0.0)
    assert place.key(tokens, fresh).name == "u-1@example.org"
    monkeypatch.setattr(jwks, "RETRY_S", 600.0)
    asked = len(place.identity.asked)
    claims = jwt.decode(fresh, options={"verify_signature": False})
    for n in range(5):
        assert place.refused(tokens, forged(claims, {"alg": "RS256", "kid": f"k{n}"})).status == 401
    assert len(place.identity.asked) == asked


def test_a_provider_that_is_down_hurts_nobody_it_has_vouched_for(place: Place, monkeypatch) -> None:
    """Its keys stay; a gateway that never had them says 503 with Retry-After."""
    monkeypatch.setattr(jwks, "RETRY_S", 0.0)
    tokens = place.tokens()
    place.key(tokens, place.identity.token())
    place.identity.refuse = True
    assert place.key(tokens, place.identity.token(sub="u-9")).name == "u-9@example.org"
    cold = place.refused(place.tokens(), place.identity.token())
    assert cold.status == 503 and cold.retry_after_s


def test_other_algorithms_only_when_the_settings_say_so(place: Place) -> None:
    """An elliptic key is refused by default, taken when named; a key for encryption never verifies."""
    place.identity.add("curve", curve=True)
    token = place.identity.token("curve", algorithm="ES256")
    assert "RS256" in str(place.refused(place.tokens(), token))
    assert place.key(place.tokens(algorithms=("RS256", "ES256")), token).team == "red"
    place.identity.published[-1]["use"] = "enc"
    assert place.refused(place.tokens(algorithms=("ES256",)), token).status == 401


def test_known_tokens_are_bounded(place: Place) -> None:
    """The oldest go first."""
    tokens = place.tokens()
    place.key(tokens, place.identity.token())
    known = next(iter(tokens._known.values()))
    tokens._known.update({n.to_bytes(32, "big"): known for n in range(MOST_KNOWN)})
    place.key(tokens, place.identity.token(sub="u-3"))
    assert len(tokens._known) == MOST_KNOWN


def test_without_providers_a_token_is_a_wrong_key(place: Place) -> None:
    """Nothing is parsed for nobody."""
    tokens = Tokens({}, place.ring, seer(place.path))
    assert not tokens.takes(place.identity.token()) and prefix_of({"iss": "a", "sub": "b"}).startswith("oidc-")


def test_dayzero_check_asks_each_provider(place: Place) -> None:
    """Its keys are fetched; without grants every token would be refused, and that is said."""
    corp = {"issuer": place.identity.issuer, "audience": AUDIENCE}
    good = Settings(gateway=Gateway(oidc={"corp": Oidc(**corp, grants=GRANTS)}))
    assert identity(good).ok and "1 keys" in identity(good).sentence
    assert "nothing is granted" in identity(Settings(gateway=Gateway(oidc={"corp": Oidc(**corp)}))).sentence
    place.identity.published.clear()
    assert identity(good).ok is False
