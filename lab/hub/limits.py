"""The Hub's rate limits: so many requests in a fixed window for each caller, and headers that say how many are left."""

import math
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "fixed window"


class Limits:
    """`quota` requests each `window` seconds to /api ("api") and as many to /resolve ("resolvers"); 0: no limit."""

    def __init__(self, quota: int = 0, window: float = 300.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.quota, self.window, self._clock = quota, window, clock
        self._used: dict[tuple[str, str], tuple[float, int]] = {}

    def set(self, quota: int, window: float) -> None:
        """New rules, counted from now."""
        self.quota, self.window = quota, window
        self._used.clear()

    def spend(self, bucket: str, caller: str) -> tuple[bool, int, int]:
        """(may pass, requests left, seconds until the window ends)."""
        now = self._clock()
        start, used = self._used.get((bucket, caller), (now, 0))
        if now - start >= self.window:
            start, used = now, 0
        passes = used < self.quota
        self._used[bucket, caller] = (start, used + passes)
        return passes, self.quota - used - passes, max(1, math.ceil(start + self.window - now))


class Limited:
    """ASGI middleware: answers 429 with Retry-After when the caller's window is spent."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        bucket = _bucket(scope)
        if not bucket or not self.limits.quota:
            await self.app(scope, receive, send)
            return
        caller = Headers(scope=scope).get("authorization", "anonymous")
        passes, left, seconds = self.limits.spend(bucket, caller)
        told = {
            "RateLimit": f'"{bucket}";r={left};t={seconds}',
            "RateLimit-Policy": f'"{POLICY}";"{bucket}";q={self.limits.quota};w={math.ceil(self.limits.window)}',
        }
        if not passes:
            sentence = f"We had to rate limit you: {self.limits.quota} requests each {self.limits.window:g} s."
            refusal = JSONResponse({"error": sentence}, 429, headers={**told, "Retry-After": str(seconds)})
            await refusal(scope, receive, send)
            return

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        await self.app(scope, receive, telling)


def _bucket(scope: Scope) -> str:
    if scope["type"] != "http":
        return ""
    if scope["path"].startswith("/api/"):
        return "api"
    return "resolvers" if "/resolve/" in scope["path"] else ""
