"""Hours of the week, as people write them: "22:00-06:00", "Mon-Fri 08:00-18:00", "Sat 00:00-24:00". Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
_FORM = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))? +)?(\d{1,2}):(\d{2}) *- *(\d{1,2}):(\d{2})", re.IGNORECASE)


@dataclass(frozen=True)
class Hours:
    """From `start` to `end`, in minutes after midnight of each of `days` (Monday is 0). Past midnight: `end` > 1440."""

    days: frozenset[int]
    start: int
    end: int
    text: str

    def around(self, moment: datetime) -> datetime | None:
        """When the window that holds this local moment ends; None when it holds no such window."""
        for back in (0, 1):
            day = (moment - timedelta(days=back)).replace(hour=0, minute=0, second=0, microsecond=0)
            start, end = _at(day, self.start), _at(day, self.end)
            if day.weekday() in self.days and start.timestamp() <= moment.timestamp() < end.timestamp():
                return end
        return None


def read(text: str) -> Hours:
    """ValueError says what was expected."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no time of the week: say 22:00-06:00, or Mon-Fri 08:00-18:00")
    first, last = (found[1] or "mon").lower(), (found[2] or found[1] or "sun").lower()
    if first not in DAYS or last not in DAYS:
        raise ValueError(f"{text!r} names no day of the week: say Mon, Tue, Wed, Thu, Fri, Sat or Sun")
    start, end = int(found[3]) * 60 + int(found[4]), int(found[5]) * 60 + int(found[6])
    if int(found[4]) > 59 or int(found[6]) > 59 or start >= DAY_MINUTES or end > DAY_MINUTES:
        raise ValueError(f"{text!r} has a time that no clock shows")
    span = (DAYS.index(last) - DAYS.index(first)) % 7
    days = frozenset((DAYS.index(first) + n) % 7 for n in range(span + 1))
    return Hours(days, start, end if end > start else end + DAY_MINUTES, text.strip())


def until(hours: Sequence[Hours], now: float, zone: tzinfo | None) -> float | None:
    """When the windows that hold `now` (epoch seconds) are over, one after another; None: none holds it.

    Infinity where they follow each other round the whole week. `zone` None: this host's local time.
    """
    at, limit = now, now + 8 * 24 * 3600
    while at < limit:
        ends = [end for window in hours if (end := window.around(datetime.fromtimestamp(at, zone))) is not None]
        if not ends:
            return at if at > now else None
        at = max(end.timestamp() for end in ends)
    return float("inf")


def clock(at: float, zone: tzinfo | None) -> str:
    """Tue 06:00: for a sentence."""
    return datetime.fromtimestamp(at, zone).strftime("%a %H:%M")


def _at(day: datetime, minutes: int) -> datetime:
    """That time of day by the wall clock: on the days the clocks change an hour is shorter or longer."""
    day += timedelta(days=minutes // DAY_MINUTES)
    return day.replace(hour=minutes % DAY_MINUTES // 60, minute=minutes % 60)
