"""Cases that ask almost the same: shared three-word runs, so that a suite's size is not an illusion."""

import re
from collections.abc import Iterable
from itertools import combinations

from gauntlet.cases import Sample

ALIKE = 0.7


def near_duplicates(samples: Iterable[Sample], alike: float = ALIKE) -> list[tuple[str, str, float]]:
    """Pairs of sample ids with the share of common word runs (Jaccard), most alike first.

    The very same chat with other checks or another load is there on purpose and is left out.
    """
    runs = [(sample, _runs(sample.case.question)) for sample in samples]
    pairs = [
        (one.id, other.id, _jaccard(a, b)) for (one, a), (other, b) in combinations(runs, 2) if not _meant(one, other)
    ]
    return sorted((pair for pair in pairs if pair[2] >= alike), key=lambda pair: -pair[2])


def _meant(one: Sample, other: Sample) -> bool:
    a, b = one.case, other.case
    return a.messages == b.messages and (a.checks, a.parallel, a.stop) != (b.checks, b.parallel, b.stop)


def _runs(text: str) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return frozenset(tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2)))


def _jaccard(a: frozenset, b: frozenset) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0
