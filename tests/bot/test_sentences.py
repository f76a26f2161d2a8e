"""Numbers for people."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sentences import bar, duration, params, plural, size


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "unknown size"), (0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1_500_000, "1.5 MB"),
        (999_499, "999 kB"), (999_600, "1 MB"), (1.4e12, "1.4 TB"), (2.5e18, "2500 PB"),
    ],
)  # fmt: skip
def test_sizes(number, text) -> None:
    """As disks count, and never 1e+03 of anything."""
    assert size(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "unknown"), (0, "0"), (999, "999"), (365_000, "365k"), (8_030_000_000, "8.03B"), (999_900_000, "1B"),
        (671_000_000_000, "671B"), (1_000_000_000_000, "1T"),
    ],
)  # fmt: skip
def test_parameters(number, text) -> None:
    """As people say them."""
    assert params(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"), (-3, "0 s"), (45.4, "45 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"),
        (5400, "1 h 30 min"), (7200, "2 h"), (129_600, "1 d 12 h"), (172_800, "2 d"), (172_000, "2 d"),
    ],
)  # fmt: skip
def test_durations(seconds, text) -> None:
    """Two units at most, the second only where it says something."""
    assert duration(seconds) == text


@given(st.integers(0, 10**19), st.integers(0, 10**19))
def test_sizes_are_short_and_grow(one: int, other: int) -> None:
    """Whatever the number: no exponent, at most four digits before petabytes run out, the order kept."""
    low, high = sorted((one, other))
    for number in (low, high):
        assert re.fullmatch(r"\d{1,5}(\.\d+)? (bytes|kB|MB|GB|TB|PB)", size(number))
    assert _value(size(low)) <= _value(size(high))


def _value(text: str) -> float:
    number, unit = text.split()
    return float(number) * 1000 ** ["bytes", "kB", "MB", "GB", "TB", "PB"].index(unit)


@given(st.floats(allow_nan=False))
def test_a_bar_is_always_as_long(fraction: float) -> None:
    """Even for fractions that can't be."""
    assert len(bar(fraction, 20)) == 20
    assert bar(1) == "▓" * 20 and bar(0) == "░" * 20


def test_one_is_not_many() -> None:
    """1 job, 0 jobs."""
    assert [plural(n, "job") for n in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
