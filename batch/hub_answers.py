"""What the Hub's refusals mean, in one sentence each: the same in the service and in the caching job."""

import re
from collections.abc import Mapping

from lifecycle.errors import HubUnavailable, Refused, Throttled

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that go away by themselves."""


MENDED_S = 600.0
"""What a person may have mended meanwhile is looked at again after so many seconds."""


def gated(repo: str, page: str) -> Refused:
    return Refused(
        f"{repo} is gated, and the Hub doesn't let us read it.",
        f"Somebody with the account behind HF_TOKEN must accept its terms at {page}, then try again.",
        retry_after_s=MENDED_S,
    )


def bad_token(status: int) -> Refused:
    advice = "Set a valid HF_TOKEN, then try again."
    return Refused(f"The Hub doesn't accept our token (HTTP {status}).", advice, retry_after_s=MENDED_S)


def busy(status: int, headers: Mapping[str, str]) -> HubUnavailable:
    if status == 429:
        return Throttled("The Hub asks us to slow down (HTTP 429).", retry_after_s=retry_after(headers))
    return HubUnavailable(f"The Hub has trouble (HTTP {status}).", retry_after_s=retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the answer asks us to wait: Retry-After, or the t of `RateLimit: "api";r=0;t=55`."""
    if (said := headers.get("Retry-After", "").strip()).isdigit():
        return float(said)
    found = re.search(r";\s*t=(\d+)", headers.get("RateLimit", "")) if headers.get("RateLimit") else None
    return float(found[1]) if found else None


RESERVE = 0.1
"""The part of each window that whoever asks in the background leaves to the others."""


def rest(headers: Mapping[str, str]) -> float | None:
    """Seconds until the window ends, when only the reserve is left of it: `RateLimit` and `RateLimit-Policy`."""
    left = re.search(r";\s*r=(\d+)\s*;\s*t=(\d+)", headers.get("RateLimit", ""))
    quota = re.search(r";\s*q=(\d+)", headers.get("RateLimit-Policy", ""))
    if left is None or quota is None or int(left[1]) > RESERVE * int(quota[1]):
        return None
    return float(left[2])
