"""A loop goes on whatever its step does, says what is wrong once, and ends when it is told to."""

import logging
import threading

import pytest

from bot.loops import Loop
from lifecycle.errors import ChatUnavailable
from tests.waiting import until


def test_what_stays_wrong_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand refusals are one line; another reason is another; the end is said; a stumble is shown each time."""
    caplog.set_level(logging.INFO, "dayzero")
    todo: list[Exception | None] = [
        *[ChatUnavailable("Down.")] * 3,
        ChatUnavailable("Slow."),
        None,
        None,
        ChatUnavailable("Down."),
        ZeroDivisionError(),
    ]

    def step() -> None:
        if (error := todo.pop(0)) is not None:
            raise error

    loop = Loop("tell", 1.0, step, threading.Event())
    for _ in range(8):
        loop.round()
    said = [record.getMessage() for record in caplog.records]
    assert said == ["tell: Down.", "tell: Slow.", "tell: goes on", "tell: Down.", "tell stumbled"]


def test_it_repeats_until_it_is_told_to_stop() -> None:
    """In a thread of its own; exceptions do not end it, the event does."""
    stop, rounds = threading.Event(), []

    def step() -> None:
        rounds.append(1)
        raise ChatUnavailable("Down.")

    loop = Loop("tell", 0.001, step, stop)
    loop.start()
    until(lambda: len(rounds) > 5, 30, "some rounds")
    stop.set()
    loop.thread.join(30)
    assert not loop.thread.is_alive()
