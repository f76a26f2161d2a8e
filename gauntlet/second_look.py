"""More samples where the first ones left a suite open: its reserve, asked once, all of it, and paid for.

The rate that a suite speaks of is that of all such prompts, so only prompts that were not asked yet are new evidence:
the same one again at temperature 0, with its options in another order or in other words, is not. Each look at a suite
with a reserve is therefore taken at half the error (Suite.level, Bonferroni), the first one too, and how many are asked
is fixed when the run is prepared: then a model at exactly the wanted rate passes no more often than with one look
(tests/gauntlet/test_second_look.py computes it). A third look would cost again, so there is none.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gauntlet.runfiles import Run, more_file, shard_file
from gauntlet.verdict import FAILS, INCONCLUSIVE, Rate, SuiteVerdict, plural
from lifecycle.runfolder import write_json


def wanted(run: Run, outcome: str, verdicts: Sequence[SuiteVerdict]) -> Mapping[str, Mapping[str, Any]]:
    """Suite → {"title", "samples", "because"} of each reserve that could still decide something; empty after a look.

    None while first samples are missing (they are asked first), and none for a model that has failed anyway.
    """
    if outcome == FAILS or run.more or not all(shard_file(run.folder, k).exists() for k in run.first):
        return {}
    found = {}
    for verdict in verdicts:
        if verdict.suite.name not in run.reserve or verdict.means != INCONCLUSIVE:
            continue
        kept = Counter(sample.case.category for sample in run.shard(run.reserve[verdict.suite.name]))
        short = [rate for rate in verdict.short if rate is verdict.rate or kept[rate.name]]
        if short:
            because = _because(short[0], "" if short[0] is verdict.rate else f" of {short[0].name}")
            found[verdict.suite.name] = {"title": verdict.suite.title, "samples": kept.total(), "because": because}
    return found


def ask_more(run: Run, suites: Mapping[str, Mapping[str, Any]]) -> None:
    """From now on these reserves belong to the run. The same again changes nothing that counts."""
    write_json(more_file(run.folder), {"suites": suites})


def sentences(run: Run) -> tuple[str, ...]:
    """What is, or was, asked beside the first samples, and why."""
    return tuple(f"{m['title']}: asked {m['samples']} more, because {m['because']}." for m in run.more.values())


def _because(rate: Rate, which: str) -> str:
    low, high = rate.interval
    return (
        f"{rate.passed} of the first {plural(rate.graded, 'sample')}{which} passed: a true rate between {low:.0%} and"
        f" {high:.0%}, where {rate.wanted:.0%} is wanted"
    )
