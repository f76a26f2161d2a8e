"""The walk: try each engine in turn in this allocation, keep the first that answers up, step aside when told to."""

import time
from collections.abc import Sequence
from dataclasses import replace

from batch.payloads.launch.attempt import Attempt
from batch.payloads.launch.engines import ENGINES, Place
from batch.payloads.launch.failures import MEMORY, PORT, Failure, joined
from batch.payloads.launch.order import Rung
from batch.payloads.launch.ports import Ports
from batch.payloads.launch.ranks import Ranks
from batch.payloads.launch.running import POLL_S, Run, Stopped, Up
from batch.payloads.launch.upkeep import keep


class Ladder:
    """One instance for one run of the job."""

    def __init__(self, run: Run):
        self._run, self._limits = run, run.order.limits
        self._ports = Ports(run.allocation.job)
        self._tried: list[tuple[str, Failure]] = []
        run.report.beat_s = self._limits.beat_s

    def walk(self) -> Failure | None:
        """Returns None when we were told to end, a Failure when nothing is left to try."""
        try:
            for rung in self._run.order.ladder:
                self._announce(rung)
                failure, was_up = self._serve(rung)
                if was_up:  # it can serve the model: another engine isn't the answer, other nodes may be
                    return joined(self._run.order.served_name, [(rung.name, failure)])
                self._tried.append((rung.name, failure))
            return joined(self._run.order.served_name, self._tried)
        except Stopped:
            return None

    def _announce(self, rung: Rung) -> None:
        if self._tried:
            name, failure = self._tried[-1]
            self._run.report.say(
                f"{name} can't serve the model: {failure.sentence} Now {rung.name}, in this allocation."
            )
            if failure.kind == MEMORY:
                self._run.report.say("Another engine of the same size will hardly help, but it is tried.")
        else:
            self._run.report.say(
                f"Starting {rung.name} for {self._run.order.served_name} on {len(self._nodes(rung))} node(s)."
            )

    def _nodes(self, rung: Rung) -> Sequence[str]:
        nodes = self._run.allocation.nodes
        return nodes[: self._run.order.shape.nodes] if ENGINES[rung.engine].spans else nodes[:1]

    def _serve(self, rung: Rung) -> tuple[Failure, bool]:
        """Load and keep up, restarting in place; returns why it is given up, and whether it ever answered."""
        restarts, was_up = 0, False
        while True:
            outcome = self._load(rung, sick=was_up)
            if isinstance(outcome, Up):
                was_up = True
                failure = keep(self._run, outcome)
                if time.monotonic() - outcome.since > self._limits.steady_s:
                    restarts = 0
            else:
                failure = outcome
            if not was_up:
                return failure, False
            if restarts >= self._limits.restarts:
                sentence = f"It was started again {restarts} times and did not stay up. {failure.sentence}"
                return replace(failure, sentence=sentence, retryable=True), True
            restarts += 1
            self._run.report.say(f"{rung.name}: {failure.sentence} Restart {restarts} of {self._limits.restarts}.")
            self._back_off(rung, failure, self._limits.backoff_s * 2 ** (restarts - 1))

    def _back_off(self, rung: Rung, failure: Failure, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._run.signals.stopping:
                raise Stopped
            note = f"{failure.sentence} It is being started again."
            self._run.report.beat("starting", rung=rung.number, note=note, healthy=False)
            time.sleep(POLL_S)

    def _load(self, rung: Rung, sick: bool) -> Up | Failure:
        """Start until it answers; with other ports when one was snatched away."""
        for _ in range(self._limits.port_tries):
            outcome = self._attempt(rung, sick)
            if isinstance(outcome, Up) or outcome.kind != PORT:
                return outcome
            self._run.report.say(f"{rung.name}: {outcome.sentence} Trying other ports.")
        return outcome

    def _attempt(self, rung: Rung, sick: bool) -> Up | Failure:
        nodes = self._nodes(rung)
        http, master = self._ports.take(2)
        addresses = tuple(self._run.allocation.address(node, self._run.order.address) for node in nodes)
        place = Place(addresses, http, master)
        self._run.report.beat("starting", rung=rung.number, note=f"Starting {rung.name}.", healthy=not sick)
        before = " ".join(f"{name}: {failure.sentence}" for name, failure in self._tried)
        ranks = Ranks(self._run.order, rung, place, self._run.allocation, self._run.folder)
        try:
            outcome = Attempt(self._run, rung, ranks, place, before, sick).wait()
        except BaseException:
            ranks.stop()
            raise
        if isinstance(outcome, Up):
            self._run.report.beat("ready", rung=rung.number, note=f"{rung.name} answers.", progress=1.0)
            self._run.report.up(outcome.endpoint)
            self._run.report.say(f"{rung.name} answers at {place.url}.")
        return outcome
