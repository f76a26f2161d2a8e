"""The array task: one shard of a run, through the gateway. Started by hand it does the same.

    python -m gauntlet.runner --folder RUN --shard K [--only-failed] [--suite NAME]

Resumes after any kill without asking a finished sample again; started on a finished shard it asks again only what
was not evaluated. --only-failed and --suite (or GAUNTLET_ONLY=failed and GAUNTLET_SUITE=NAME in the environment) ask
some of it once more. Exit 0: the shard's file is there; 2: the run can't be read; 75: somebody else is at this shard.
"""

import argparse
import asyncio
import os
import signal
import stat
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from gauntlet import loop
from gauntlet.again import PLAIN, Wish
from gauntlet.answers import FAIL, NOT_EVALUATED, Answer
from gauntlet.asking import Asking
from gauntlet.cases import ALONE, Sample
from gauntlet.client import Client
from gauntlet.journal import Journal, ShardBusy
from gauntlet.judge import Judge
from gauntlet.outage import Outage
from gauntlet.pace import Pace
from gauntlet.panel import Panel
from gauntlet.runfiles import Run, progress_file, read_run, shard_file
from gauntlet.trial import try_sample
from lifecycle.errors import BadSettings, DayzeroError
from lifecycle.runfolder import write_json

PROGRESS_EVERY_S = 0.5
SYNC_EVERY_S = 0.2  # what a node's power loss may cost
Report = Callable[[int, int, str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gauntlet.runner", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="the run's folder, with run.json in it")
    parser.add_argument("--shard", type=int, required=True, help="which shard, from 0 ($SLURM_ARRAY_TASK_ID)")
    parser.add_argument("--attempt", type=int, default=0, help="ignored; tells attempts apart in the job's log")
    parser.add_argument("--only-failed", action="store_true", help="ask again what failed or stayed open")
    parser.add_argument("--suite", default=os.environ.get("GAUNTLET_SUITE", ""), help="this suite only, all of it")
    options = parser.parse_args(arguments)
    try:
        run = read_run(options.folder)
        wish = wish_of(run, options.only_failed, options.suite)
        run.check(options.shard)
        key = read_key(run.key_file)
        loop.run(_until_terminated(run_shard(run, options.folder, options.shard, key, wish=wish)))
    except ShardBusy as error:
        print(error.advice, file=sys.stderr)
        return 75
    except DayzeroError as error:
        print(error.advice, file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        print("Terminated; what was finished is kept. The same command goes on from here.", file=sys.stderr)
        return 143
    there = shard_file(options.folder, options.shard).exists()
    print(f"{shard_file(options.folder, options.shard)} is {'complete' if there else 'not complete yet'}.")
    return 0


def wish_of(run: Run, only_failed: bool, suite: str) -> Wish:
    """From options and the environment of the array's job. BadSettings when there is no such suite."""
    only = os.environ.get("GAUNTLET_ONLY", "")
    if only not in ("", "failed"):
        raise BadSettings(f"GAUNTLET_ONLY is {only!r}.", "GAUNTLET_ONLY=failed is all that it can say.")
    names = [known.name for known in run.suites]
    if suite and suite not in names:
        raise BadSettings(f"There is no suite {suite!r} in this run.", "There are " + ", ".join(names) + ".")
    job = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID", "")
    return Wish(only_failed=only_failed or only == "failed", suite=suite, token=job)


def read_key(path: Path) -> str:
    """The gateway key. BadSettings when it can't be read, or could be read by others."""
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BadSettings(f"The key file {path} can be read by others.", f"chmod 600 {path}")
        return path.read_text().strip()
    except OSError as error:
        raise BadSettings(f"The key file {path} can't be read: {error.strerror}.") from None


async def run_shard(
    run: Run, folder: Path, shard: int, key: str, report: Report | None = None, wish: Wish = PLAIN
) -> None:
    """Ask everything that is not finished yet, and what the wish adds; then publish the shard's file if it is whole."""
    journal = Journal(folder, shard, run.digest)
    order, settled, measures = [], 0, False
    for id_, suite, checks in run.outline(shard):
        order.append(sys.intern(id_))  # as the journal's: there may be very many
        settled += not wish.wants(suite, journal.finished(id_))
        measures = measures or not ALONE.isdisjoint(checks)
    outage, judge_outage = Outage(run.patience_s), Outage(run.patience_s)
    progress = _Progress(folder, shard, run.shards[shard], settled, journal, outage, report)
    try:
        async with Client(run.base_url, key, run.timeout_s) as client:

            async def ask_judge(body: dict[str, Any]) -> Answer:
                return await judge_outage.ride_out(lambda: client.complete(body))

            judges = [Judge(model, ask_judge, folder / "judge") for model in run.judges]
            panel = Panel(judges) if judges else None
            asking = Asking(client, run.model, outage, run.rival)
            pace = Pace(run.concurrency)

            async def work(queue: Iterator[Sample]) -> None:
                while True:
                    async with pace as seen:
                        if (sample := next(queue, None)) is None:
                            return
                        before = journal.finished(sample.id)
                        refused = outage.refusals
                        record = await try_sample(sample, asking, panel)
                        if outage.refusals > refused:
                            pace.slow_down(seen)
                    journal.add(wish.mark(record, before))
                    progress.step()

            def todo(alone: bool) -> Iterator[Sample]:
                for sample in run.shard(shard):
                    mine = ALONE.isdisjoint(sample.case.checks) != alone
                    if mine and wish.wants(sample.suite, journal.finished(sample.id)):
                        yield sample

            beat = asyncio.create_task(progress.beat())
            syncing = asyncio.create_task(_keep_synced(journal))
            try:
                async with asyncio.TaskGroup() as group:
                    calm = todo(alone=False)
                    for _ in range(min(run.concurrency, run.shards[shard])):
                        group.create_task(work(calm))
                # speed is measured when this task asks nothing else; other shards may still be at work
                if measures:
                    await work(todo(alone=True))
            finally:
                beat.cancel()
                syncing.cancel()
        if journal.whole(order):
            journal.publish(order)
        progress.write()
    finally:
        journal.close()


async def _keep_synced(journal: Journal) -> None:
    while True:
        await asyncio.sleep(SYNC_EVERY_S)
        await asyncio.to_thread(journal.sync)


class _Progress:
    """shard-<k>.progress.json, twice a second, and the laptop's progress line."""

    def __init__(
        self, folder: Path, shard: int, total: int, done: int, journal: Journal, outage: Outage, report: Report | None
    ):
        self._path, self._total, self._done, self._journal = progress_file(folder, shard), total, done, journal
        self._outage, self._report = outage, report
        self.write()

    def step(self) -> None:
        self._done += 1

    def write(self) -> None:
        waiting = f"waiting: {self._outage.sentence}" if self._outage.sentence else ""
        counts = f"{self._journal.count(FAIL)} failed, {self._journal.count(NOT_EVALUATED)} not evaluated"
        write_json(self._path, {"done": self._done, "total": self._total, "note": waiting or counts})
        if self._report is not None:
            self._report(self._done, self._total, waiting or counts)

    async def beat(self) -> None:
        """In a thread: a busy disk takes a tenth of a second and more to sync, and no answer is to wait for that."""
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            await asyncio.to_thread(self.write)


async def _until_terminated(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


if __name__ == "__main__":
    sys.exit(main())
