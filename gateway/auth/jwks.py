"""The public keys of one identity provider: fetched, kept, fetched again when a token names one that is not there."""

import asyncio
import time
from collections.abc import Callable

import httpx
import jwt

from gateway.log import say
from lifecycle.sections.gateway import Oidc

REFRESH_S = 3600.0
RETRY_S = 10.0
"""At most one fetch in so many seconds: tokens with invented key ids must not make us a nuisance."""

TIMEOUT_S = 10.0
LARGEST = 2**20


class Jwks:
    """`keys`: key id → key, for signatures only. What was fetched last stays when the next fetch fails."""

    def __init__(self, provider: Oidc, clock: Callable[[], float] = time.monotonic, hear: Callable = say):
        self.keys: dict[str, jwt.PyJWK] = {}
        self.problem = "Its keys were not fetched yet."
        self._provider = provider
        self._clock = clock
        self._hear = hear
        self._tried_at = float("-inf")
        self._fetched_at = float("-inf")
        self._fetching: asyncio.Task | None = None

    @property
    def may_fetch(self) -> bool:
        """Is it worth waiting for a fetch? Also while one is on its way."""
        return self._fetching is not None or self._clock() - self._tried_at >= RETRY_S

    @property
    def is_old(self) -> bool:
        return self._clock() - self._fetched_at >= REFRESH_S

    async def fetch(self) -> None:
        """One for all who wait. Says nothing about success: look at `keys`."""
        if self._fetching is None:
            if not self.may_fetch:
                return
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
                url = self._provider.jwks_url or await self._discover(client)
                found = await _get(client, url)
            usable = [one for one in found.get("keys", ()) if isinstance(one, dict) and one.get("use", "sig") == "sig"]
            keys = jwt.PyJWKSet.from_dict({"keys": usable}).keys
            self.keys = {key.key_id or "": key for key in keys}
            self.problem = ""
            self._fetched_at = self._clock()
            self._hear("oidc.keys", issuer=self._provider.issuer, keys=sorted(self.keys))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, jwt.PyJWTError) as error:
            self.problem = f"The keys of {self._provider.issuer} can't be fetched: {type(error).__name__}."
            self._hear("oidc.unreachable", issuer=self._provider.issuer, reason=str(error)[:300])
        finally:
            self._fetching = None

    async def _discover(self, client: httpx.AsyncClient) -> str:
        found = await _get(client, f"{self._provider.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self._provider.issuer or not isinstance(found.get("jwks_uri"), str):
            raise ValueError("its openid-configuration is another issuer's, or names no keys")
        return found["jwks_uri"]


async def _get(client: httpx.AsyncClient, url: str) -> dict:
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        body = b""
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > LARGEST:
                raise ValueError("an answer of more than a megabyte")
    found = httpx.Response(200, content=body).json()
    if not isinstance(found, dict):
        raise ValueError("an answer that is no JSON object")
    return found
