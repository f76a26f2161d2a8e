"""GitHub's primary rate limit: requests an hour for each caller, told in headers on every answer."""

import time
from collections.abc import Callable

HOUR = 3600
ANONYMOUS_LIMIT = 60
USER_LIMIT = 5000


class Rates:
    """`clock` gives seconds since 1970: the reset time is a date."""

    def __init__(
        self, user: int = USER_LIMIT, anonymous: int = ANONYMOUS_LIMIT, clock: Callable[[], float] = time.time
    ) -> None:
        self.user, self.anonymous, self._clock = user, anonymous, clock
        self._used: dict[str | None, tuple[float, int]] = {}

    def spent(self, caller: str | None) -> bool:
        """Whether the caller has nothing left."""
        return self._state(caller)[1] >= self._limit(caller)

    def charge(self, caller: str | None) -> None:
        """Count one request."""
        start, used = self._state(caller)
        self._used[caller] = (start, used + 1)

    def headers(self, caller: str | None) -> dict[str, str]:
        """X-RateLimit-*, as numbers in text."""
        numbers = self.numbers(caller)
        return {f"X-RateLimit-{name.capitalize()}": str(value) for name, value in numbers.items()} | {
            "X-RateLimit-Resource": "core"
        }

    def numbers(self, caller: str | None) -> dict[str, int]:
        """limit, remaining, used, and reset (seconds since 1970)."""
        start, used = self._state(caller)
        limit = self._limit(caller)
        return {"limit": limit, "remaining": max(0, limit - used), "used": used, "reset": int(start + HOUR)}

    def _limit(self, caller: str | None) -> int:
        return self.anonymous if caller is None else self.user

    def _state(self, caller: str | None) -> tuple[float, int]:
        now = self._clock()
        start, used = self._used.get(caller, (now, 0))
        return (now, 0) if now - start >= HOUR else (start, used)
