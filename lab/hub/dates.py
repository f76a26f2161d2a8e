"""Times as the Hub writes them: UTC, milliseconds, Z."""

from datetime import UTC, datetime


def stamp(moment: datetime | str | float) -> str:
    """2026-01-02T03:04:05.000Z, from a datetime, an ISO text or seconds since 1970; ValueError otherwise."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if isinstance(moment, int | float):
        moment = datetime.fromtimestamp(moment, UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
