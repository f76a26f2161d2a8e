"""One start of one engine, until it answers, dies, or its time is over."""

import time
from dataclasses import replace

from batch.payloads.launch import probe
from batch.payloads.launch.engines import ENGINES, Place, installed_version
from batch.payloads.launch.failures import UNKNOWN, Failure, classify
from batch.payloads.launch.loading import Loading, advance
from batch.payloads.launch.order import Rung
from batch.payloads.launch.probe import Question
from batch.payloads.launch.ranks import Ranks
from batch.payloads.launch.running import ASK_EVERY_S, POLL_S, Run, Stopped, Up, end
from batch.rates import note_load

SILENT_LOG_S = 60  # worth a word in the note


class Attempt:
    """`wait` returns the outcome; the ranks are stopped unless it is Up."""

    def __init__(self, run: Run, rung: Rung, ranks: Ranks, place: Place, before: str, sick: bool):
        """`before`: why earlier rungs were left; `sick`: it was up in this job, and is started again."""
        self._run, self._rung, self._ranks, self._place, self._sick = run, rung, ranks, place, sick
        self._order, self._limits, self._before = run.order, run.order.limits, before
        self._engine = ENGINES[rung.engine]
        self._loading = Loading()
        self._began = self._moved_at = self._asked_at = time.monotonic()
        self._hears: Question | None = None
        self._answers: Question | None = None
        self._refusals = 0

    def wait(self) -> Up | Failure:
        patience = max(self._rung.start_timeout_s, 3 * self._order.shape.expected_load_s)
        while True:
            if self._run.signals.stopping:
                raise Stopped
            if (code := self._ranks.ended()) is not None:
                end(self._run, self._ranks, code)
                return classify(code, self._ranks.written())
            self._read_log()
            if outcome := self._ask():
                return outcome
            if time.monotonic() - self._began > patience:
                self._ranks.stop()
                return classify(None, self._ranks.written(), timed_out_s=patience)
            self._beat()
            time.sleep(POLL_S)

    def _read_log(self) -> None:
        lines = self._ranks.follow()
        if any(lines):
            self._moved_at = time.monotonic()
        for line in lines[0]:
            self._loading = advance(self._loading, line)

    def _beat(self) -> None:
        silent = time.monotonic() - self._moved_at
        note = self._loading.note + (f" Its log has not moved for {silent:.0f} s." if silent > SILENT_LOG_S else "")
        self._run.report.beat(
            self._loading.phase,
            rung=self._rung.number,
            note=note,
            progress=self._loading.progress,
            healthy=not self._sick,
        )

    def _ask(self) -> Up | Failure | None:
        """First whether anybody listens, then for one real completion."""
        if self._answers is not None:
            return self._heard() if self._answers.done else None
        if self._hears is not None and self._hears.done:
            if self._hears.answer:
                model, url = self._engine.model(self._order), self._place.url
                self._answers = Question(lambda: probe.first_answer(url, model, self._limits.answer_s))
            self._hears = None
        elif self._hears is None and time.monotonic() - self._asked_at > ASK_EVERY_S:
            self._asked_at = time.monotonic()
            self._hears = Question(lambda: probe.listening(self._place.url))
        return None

    def _heard(self) -> Up | Failure | None:
        error, self._answers = self._answers.error, None
        if error is None:
            self._note_load()
            return Up(self._rung, self._ranks, self._place, time.monotonic(), self._endpoint())
        self._run.report.say(f"{self._rung.name} listens, but: {error}")
        self._refusals += 1
        if self._refusals < self._limits.bad_answers:
            return None
        self._ranks.stop()
        found = classify(None, self._ranks.written())
        if found.kind != UNKNOWN:
            return found
        return replace(found, sentence=f"It loaded the model but can't answer: {error}")

    def _note_load(self) -> None:
        shape, where = self._order.shape, self._order.rates
        if where is not None:
            seconds = time.monotonic() - self._began
            nodes, job = len(self._place.addresses), self._run.allocation.job
            note_load(where, job, shape.gpu_type, nodes, shape.weights_bytes, self._loading.weights_s, seconds)

    def _endpoint(self) -> dict:
        why = self._before or self._rung.why
        if self._loading.fallback:
            why = f"{why} vLLM has no implementation of its own for it and runs it through Transformers.".strip()
        return {
            "url": self._place.url,
            "model": self._engine.model(self._order),
            "engine": self._rung.engine,
            "engine_version": probe.version(self._place.url) or installed_version(self._rung),
            "engine_load_s": round(time.monotonic() - self._began, 3),
            "rung": self._rung.number,
            "runtime": self._rung.name,
            "context": self._order.shape.context,
            "why": why,
        }
