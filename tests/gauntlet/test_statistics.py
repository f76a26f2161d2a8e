"""Our statistics beside SciPy's and statsmodels' (recorded by record_statistics.py), and what must hold of them."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gauntlet.intervals import wilson
from gauntlet.paired import bootstrap, holm, kappa, mcnemar, samples_to_see, visible_drop

KNOWN = json.loads(Path(__file__).with_name("statistics.json").read_text())
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
counts = st.integers(0, 60)


@pytest.mark.parametrize("row", KNOWN["wilson"], ids=lambda row: f"{row['passed']}of{row['total']}-{row['confidence']}")
def test_wilson_as_scipy_and_statsmodels(row: dict):
    """To nine digits, edges included."""
    found = wilson(row["passed"], row["total"], row["confidence"])
    assert found == pytest.approx(row["interval"], abs=1e-9)


@pytest.mark.parametrize("row", KNOWN["mcnemar"], ids=lambda row: f"{row['lost']}-{row['gained']}")
def test_mcnemar_as_statsmodels(row: dict):
    """The exact test's p-value."""
    assert mcnemar(row["lost"], row["gained"]) == pytest.approx(row["p"], rel=1e-9)


@pytest.mark.parametrize("row", KNOWN["bootstrap"], ids=lambda row: f"{row['n']}-{row['lost']}-{row['gained']}")
def test_the_computed_bootstrap_is_the_drawn_one(row: dict):
    """SciPy drew 200,000 resamples; ours is at most one sample away from each end."""
    found = bootstrap(row["n"], row["lost"], row["gained"])
    assert found == pytest.approx(row["interval"], abs=1.001 / row["n"])


@pytest.mark.parametrize("row", KNOWN["kappa"], ids=lambda row: str(row["table"]))
def test_kappa_as_statsmodels(row: dict):
    """Cohen's, of two raters."""
    (a, b), (c, d) = row["table"]
    assert kappa(a, b, c, d) == pytest.approx(row["kappa"], abs=1e-12)


def test_what_nothing_says():
    """No sample, no difference, no second opinion."""
    assert mcnemar(0, 0) == 1
    assert bootstrap(0, 0, 0) == (-1, 1)
    assert kappa(0, 0, 0, 0) is None and kappa(9, 0, 0, 0) is None
    assert visible_drop(3, 0.0) is None


@calm
@given(counts, counts, counts)
def test_the_bootstrap_turns_with_its_sides_and_holds_the_difference(lost: int, gained: int, same: int):
    """Swapping the runs mirrors the interval (to one sample), and the observed difference lies within it."""
    n = lost + gained + same
    if n == 0:
        return
    low, high = bootstrap(n, lost, gained)
    assert low - 1e-9 <= (gained - lost) / n <= high + 1e-9
    assert bootstrap(n, gained, lost) == pytest.approx((-high, -low), abs=1.001 / n)


def test_far_out_the_normal_curve_is_as_good():
    """Where the convolution ends and the normal curve begins, both say the same."""
    assert bootstrap(1000, 40, 60) == pytest.approx(bootstrap(1001, 40, 60), abs=0.0015)


@calm
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_only_ever_raises_and_keeps_the_order(values: list[float]):
    """Never below the plain value, never above Bonferroni's, and the order stays."""
    adjusted = holm(values)
    for p, q in zip(values, adjusted, strict=True):
        assert p <= q <= min(1, p * len(values)) + 1e-12
    ranked = [q for _, q in sorted(zip(values, adjusted, strict=True))]
    assert ranked == sorted(ranked)


def test_the_visible_drop_is_seen_as_often_as_promised():
    """Simulated: with as many samples as asked for, McNemar's test finds the drop about four times of five."""
    chance = random.Random(4)
    drop, discordant = 0.1, 0.2
    n = samples_to_see(drop, discordant)
    assert visible_drop(n, discordant) == pytest.approx(drop, abs=0.002)
    up = (discordant - drop) / 2
    found = 0
    for _ in range(400):
        draws = [chance.random() for _ in range(n)]
        gained = sum(x < up for x in draws)
        lost = sum(up <= x < discordant for x in draws)
        found += mcnemar(lost, gained) < 0.05
    assert 0.68 <= found / 400 <= 0.88  # the exact test is a little more cautious than the formula
