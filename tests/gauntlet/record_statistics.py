"""Writes statistics.json: what SciPy and statsmodels say, for test_statistics.py to compare ours with.

Neither is a dependency of ours, they weigh 200 MB. By hand, in an environment of their own:

    pip install scipy statsmodels && python tests/gauntlet/record_statistics.py
"""

import json
from pathlib import Path

import numpy as np
import scipy
import statsmodels
from scipy.stats import binomtest, bootstrap
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

RATES = [(0, 1), (1, 1), (0, 10), (10, 10), (5, 10), (12, 12), (73, 73), (81, 263), (1, 500), (499, 500), (150, 198)]
CONFIDENCES = (0.8, 0.9, 0.95, 0.99)
DISCORDANT = [(0, 0), (0, 1), (1, 0), (3, 3), (5, 17), (17, 5), (0, 12), (2, 9), (40, 61), (100, 100)]
PAIRS = [(198, 5, 17), (60, 8, 2), (30, 0, 4), (400, 40, 61), (24, 3, 3)]
TABLES = [[[20, 5], [10, 15]], [[45, 15], [25, 15]], [[10, 0], [0, 7]], [[9, 6], [6, 9]], [[30, 1], [4, 2]]]


def main() -> None:
    wilson = [
        {"passed": k, "total": n, "confidence": c, "interval": proportion_confint(k, n, 1 - c, "wilson")}
        for k, n in RATES
        for c in CONFIDENCES
    ]
    for row in wilson:
        scipys = binomtest(row["passed"], row["total"]).proportion_ci(row["confidence"], "wilson")
        assert np.allclose(row["interval"], (scipys.low, scipys.high), atol=1e-12), row
    tests = [
        {"lost": b, "gained": c, "p": mcnemar([[9, b], [c, 9]], exact=True).pvalue} for b, c in DISCORDANT if b + c
    ]
    spans = []
    for n, lost, gained in PAIRS:
        differences = np.array([-1] * lost + [1] * gained + [0] * (n - lost - gained))
        found = bootstrap(
            (differences,), np.mean, n_resamples=200_000, batch=2_000, method="percentile",
            random_state=np.random.default_rng(7),
        ).confidence_interval  # fmt: skip
        spans.append({"n": n, "lost": lost, "gained": gained, "interval": (found.low, found.high)})
    kappas = [{"table": table, "kappa": cohens_kappa(np.array(table)).kappa} for table in TABLES]
    made = {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "wilson": wilson, "mcnemar": tests}
    text = json.dumps({**made, "bootstrap": spans, "kappa": kappas}, indent=1, default=float)
    Path(__file__).with_name("statistics.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
