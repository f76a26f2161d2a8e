"""Watching 500 organisations with 50,000 repositories: requests, seconds and memory of a poll; publication to card."""

import contextlib
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from huggingface_hub import HfApi

from bench._many import EACH, ORGANISATIONS
from bot.watch.hub import HubWatch
from bot.watch.rounds import Rounds
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings
from tests.bot.office import Office

ANONYMOUS = 500
"""Requests that the Hub gives an address without a token in five minutes."""

EXPAND = ["sha", "createdAt", "private", "gated", "tags"]
CARDS = 20


def main() -> None:
    with _hub() as url:
        ours, theirs = _alone(_polls, url), _alone(_library, url)
    every = Settings().watch.every_s
    print(f"{ORGANISATIONS} organisations, {ORGANISATIONS * EACH:,} repositories")
    for name, seconds, asked, cpu in ours["polls"]:
        print(f"{name:>28}: {asked} requests, {seconds:.1f} s, {cpu:.1f} s of CPU")
    share = ORGANISATIONS * 300 / every / ANONYMOUS
    print(f"{'of the anonymous limit':>28}: {share:.0%}, at one look every {every / 60:g} minutes")
    print(
        f"{'memory':>28}: {ours['before']:.0f} MB before, {ours['after']:.0f} MB after; ledger {ours['ledger']:.1f} MB"
    )
    print(
        f"huggingface_hub.list_models of the same, one by one: {theirs['asked']} requests, {theirs['seconds']:.1f} s, "
        f"{theirs['cpu']:.1f} s of CPU, {theirs['after'] - theirs['before']:.0f} MB; nothing compared, nothing kept"
    )
    quiet = ours["polls"][1]
    print(f"ours with nothing new: {theirs['seconds'] / quiet[1]:.1f} × as fast, "
          f"{theirs['cpu'] / quiet[3]:.1f} × less CPU")  # fmt: skip
    times = _cards()
    print(f"from the look that finds it to its card in Slack: median {statistics.median(times):.2f} s of {CARDS}, "
          f"worst {max(times):.2f} s")  # fmt: skip
    print(
        f"from publication: that, and up to {every / 60:g} minutes until the look, and settle_s after the last commit"
    )


@contextlib.contextmanager
def _hub() -> Iterator[str]:
    command = [sys.executable, "-m", "bench._many"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running.stdout.readline().strip()
        finally:
            running.stdin.close()


def _alone(measure: Callable[[str], dict], url: str) -> dict:
    """In a process of its own, so that its memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (url,))


def _polls(url: str) -> dict:
    names = [f"org{n}" for n in range(ORGANISATIONS)]
    with tempfile.TemporaryDirectory() as folder:
        now = [time.time()]
        ledger = Ledger(Path(folder) / "ledger.db", lambda: now[0])
        settings = Settings.model_validate({"hub": {"endpoint": url}, "watch": {"organizations": names}})
        watch = HubWatch(settings, ledger)
        rounds, before, polls = Rounds(ledger, watch), _memory(), []
        for name, grown in (("the first look", 0), ("nothing new", 0), ("a new one in 50", 50)):
            httpx.post(f"{url}/grow/{grown}")
            asked, began, cpu = _asked(url), time.monotonic(), time.process_time()
            found = rounds.step(patience_s=600)
            assert found == grown, (name, found)
            polls.append((name, time.monotonic() - began, _asked(url) - asked, time.process_time() - cpu))
            now[0] += 2 * settings.watch.every_s
        after, size = _memory(), (Path(folder) / "ledger.db").stat().st_size / 1e6
        rounds.close()
        watch.close()
        ledger.close()
    return {"polls": polls, "before": before, "after": after, "ledger": size}


def _library(url: str) -> dict:
    api, before = HfApi(endpoint=url, token=False), _memory()
    asked, began, cpu = _asked(url), time.monotonic(), time.process_time()
    for n in range(ORGANISATIONS):
        list(api.list_models(author=f"org{n}", expand=EXPAND))
    return {
        "seconds": time.monotonic() - began,
        "asked": _asked(url) - asked,
        "cpu": time.process_time() - cpu,
        "before": before,
        "after": _memory(),
    }


def _asked(url: str) -> int:
    return json.loads(httpx.get(f"{url}/asked").text)["asked"]


def _memory() -> float:
    """MB, at its highest so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def _cards() -> list[float]:
    """Seconds from the beginning of a look to the card, over the lab's Hub and Slack."""
    times = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        office = Office(Path(folder), stack)
        office.look()
        for n in range(CARDS):
            office.publish(f"acme/m{n}")
            began = time.monotonic()
            office.look()
            times.append(time.monotonic() - began)
            assert office.alice.sees("#models", f"acme/m{n}")
        office.stop()
    return times


if __name__ == "__main__":
    main()
