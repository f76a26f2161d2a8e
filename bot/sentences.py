"""Numbers for people: bytes, durations, counts of parameters. Pure; the CLI, the cards and the mails speak the same."""

from collections.abc import Sequence


def size(number: float | None) -> str:
    """Bytes in powers of 1000, as disks and the Hub count: 1.5 MB."""
    if number is None:
        return "unknown size"
    if round(abs(number)) < 1000:
        return f"{round(number)} bytes"
    return _scaled(number, 1000, ("kB", "MB", "GB", "TB", "PB"), " ")


def params(number: int | None) -> str:
    """Parameters: 671B, 8.03B, 365k."""
    if number is None:
        return "unknown"
    return str(number) if number < 1000 else _scaled(number, 1000, ("k", "M", "B", "T"), "")


def _scaled(number: float, first: float, units: Sequence[str], gap: str) -> str:
    """Three digits and the unit in which they are below 1000: what rounds up to 1000 is 1 of the next one."""
    scale = first
    for unit in units[:-1]:
        if abs(float(f"{number / scale:.3g}")) < 1000:
            return f"{number / scale:.3g}{gap}{unit}"
        scale *= 1000
    value = number / scale
    return f"{value:.3g}{gap}{units[-1]}" if abs(value) < 999.5 else f"{value:.0f}{gap}{units[-1]}"


def duration(seconds: float | None) -> str:
    """45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds is None:
        return "unknown"
    seconds = max(0, round(seconds))
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours + (minutes >= 30), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def bar(fraction: float, width: int = 20) -> str:
    """A progress bar in text: ▓▓▓▓░░░░."""
    full = round(max(0.0, min(1.0, fraction)) * width)
    return "▓" * full + "░" * (width - full)


def gpu_hours(number: float) -> str:
    """GPU-hours to a sensible precision: under 0.1, 2.5, 120."""
    if number < 0.1:
        return "under 0.1 GPU-hours"
    return f"{number:.1f} GPU-hours" if number < 100 else f"{number:,.0f} GPU-hours"


def plural(number: int, noun: str) -> str:
    """1 job, 2 jobs."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
