"""An engine that is up: watched while it serves, drained when the job must end."""

import time
from dataclasses import replace

from batch.payloads.launch import probe
from batch.payloads.launch.failures import FROZEN, Failure, classify
from batch.payloads.launch.health import Health
from batch.payloads.launch.probe import Question
from batch.payloads.launch.running import ASK_EVERY_S, POLL_S, Run, Stopped, Up, end


def keep(run: Run, up: Up) -> Failure:
    """Watch a running engine; returns why it runs no more. Raises Stopped after draining."""
    try:
        failure = _watch(run, up)
    except BaseException:
        run.report.down()
        up.ranks.stop()
        raise
    run.report.beat("ready", rung=up.rung.number, note=failure.sentence, progress=1.0, healthy=False)
    run.report.down()
    up.ranks.stop()
    return failure


def _watch(run: Run, up: Up) -> Failure:
    limits = run.order.limits
    health, seen, asked_at, question = Health(time.monotonic()), probe.Sample(), 0.0, None
    while True:
        if run.signals.stopping:
            _drain(run, up)
            raise Stopped
        if (code := up.ranks.ended()) is not None:
            note = "A rank of its engine ended."
            run.report.beat("ready", rung=up.rung.number, note=note, progress=1.0, healthy=False)
            run.report.down()  # before the others are waited for
            end(run, up.ranks, code)
            why = classify(code, up.ranks.written())
            minutes = (time.monotonic() - up.since) / 60
            return replace(why, sentence=f"It died after {minutes:.0f} min: {why.sentence}", retryable=True)
        now = time.monotonic()
        if question is None and now - asked_at >= limits.beat_s:
            asked_at, question = now, _look(run, up)
        if question is not None and question.done:
            if question.error is None:
                seen = question.answer
                health = health.answered(seen, now, limits)
            else:
                health = health.missed(str(question.error), limits)
            question = None
            up.ranks.follow()
        if health.sick:
            written = up.ranks.written()[0]
            advice = "It is started again by itself; look into its log if that happens often."
            return Failure(FROZEN, health.sick, True, advice, written.log, written.tail)
        run.report.beat(
            "ready", rung=up.rung.number, note=f"{up.rung.name} answers.", progress=1.0,
            running=seen.running, generated=seen.generated,
        )  # fmt: skip
        time.sleep(POLL_S)


def _look(run: Run, up: Up) -> Question:
    return Question(lambda: probe.look(up.place.url, up.engine.metrics, run.order.limits.probe_s))


def _drain(run: Run, up: Up) -> None:
    """The address is taken back first; then nothing runs, or the time is over."""
    limits, began = run.order.limits, time.monotonic()
    run.report.down()
    run.report.say("Told to end: the address is taken back, running requests may finish.")
    with_metrics = up.engine.metrics
    question, running, asked_at = None, None, 0.0
    while (spent := time.monotonic() - began) < limits.drain_s and up.ranks.ended() is None:
        count = f"{running} requests still run" if running else "waiting for requests to finish"
        run.report.beat("draining", rung=up.rung.number, note=f"Told to end: {count}.", progress=1.0,
                          running=running or 0)  # fmt: skip
        if question is None and time.monotonic() - asked_at > ASK_EVERY_S:
            asked_at, question = time.monotonic(), _look(run, up)
        if question is not None and question.done:
            running = question.answer.running if question.error is None else running
            question = None
        if spent > limits.linger_s and (running == 0 or not with_metrics):
            break
        time.sleep(POLL_S)
    # an engine without counters finishes its requests by itself after SIGTERM, if it is given the time
    left = limits.drain_s - (time.monotonic() - began)
    up.ranks.stop(None if with_metrics else max(limits.stop_s, left))
    run.report.say("Ended as told.")
