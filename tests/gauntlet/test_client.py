"""What a failure of an endpoint means: an infrastructure fault, or a refusal; never anything else, never an answer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from gauntlet.answers import Answer
from gauntlet.client import Client, EndpointUnavailable, RequestRejected
from gauntlet.outage import Outage
from lab.loopback.application import Application
from lab.loopback.server import LOOPBACK, listen

BODY = {"model": "m", "messages": [{"role": "user", "content": "?"}]}
Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _ask(reply: Reply, *, stream: bool = False, timeout_s: float = 5) -> Answer:
    async def go() -> Answer:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", reply)
        served = Application(app, listen(), shutdown_timeout=0.1)
        await served.open()
        try:
            async with Client(f"http://{LOOPBACK}:{served.port}", "k", timeout_s) as client:
                return await client.complete(BODY, stream=stream)
        finally:
            await served.shut()

    return asyncio.run(go())


def _says(text: str, status: int = 200, **headers: str) -> Reply:
    async def reply(request: web.Request) -> web.Response:
        return web.Response(
            text=text, status=status, headers={name.replace("_", "-"): v for name, v in headers.items()}
        )

    return reply


def _streams(*chunks: bytes, abort: bool = False) -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if abort:
            request.transport.abort()
        return response

    return reply


@pytest.mark.parametrize("text", ["<html>", "{}", '{"choices": []}', "[1]", '{"choices": [{"message": null}]}'])
def test_what_is_no_completion_is_a_fault(text: str):
    """A proxy's page with status 200 is not an empty answer."""
    with pytest.raises(EndpointUnavailable, match="no chat completion"):
        _ask(_says(text))


@pytest.mark.parametrize("status", [404, 408, 429, 500, 502, 503, 504])
def test_statuses_worth_another_try(status: int):
    """A gateway without a live endpoint says 404 or 5xx; that passes."""
    with pytest.raises(EndpointUnavailable, match=f"answered {status}: gone fishing"):
        _ask(_says('{"error": {"message": "gone fishing"}}', status))


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_statuses_that_would_be_the_same_again(status: int):
    """Retrying can't help; the sentence carries what the server said."""
    with pytest.raises(RequestRejected, match=f"answered {status}: no such thing"):
        _ask(_says('{"detail": "no such thing"}', status))


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7), ("0", 0), ("soon", None), ("Mon, 01 Jan 2001 00:00:00 GMT", 0)]
)
def test_retry_after_is_read(value: str, seconds: float | None):
    """Seconds, a date, or nonsense."""
    with pytest.raises(EndpointUnavailable) as fault:
        _ask(_says("busy", 429, Retry_After=value))
    assert fault.value.retry_after_s == seconds


def test_a_torn_stream_is_a_fault():
    """Half an answer is no answer, whether the connection breaks or just ends."""
    half = b'data: {"choices": [{"delta": {"content": "Par"}, "finish_reason": null}]}\n\n'
    for reply in (_streams(half), _streams(half, abort=True), _streams(half, b"data: nonsense\n\n")):
        with pytest.raises(EndpointUnavailable):
            _ask(reply, stream=True)


def test_an_error_within_a_stream_is_a_fault():
    """vLLM reports a dying engine like this, with status 200."""
    with pytest.raises(EndpointUnavailable, match="broke off: engine died"):
        _ask(_streams(b'data: {"error": {"message": "engine died"}}\n\n', b"data: [DONE]\n\n"), stream=True)


def test_a_stream_without_done_is_whole_when_it_gave_a_finish_reason():
    """As `transformers serve` ends its streams."""
    answer = _ask(
        _streams(b'data: {"choices": [{"delta": {"content": "Paris"}, "finish_reason": "stop"}]}\n\n'), stream=True
    )
    assert (answer.text, answer.finish_reason, answer.completion_tokens) == ("Paris", "stop", 1)
    assert 0 < answer.first_token_s <= answer.total_s


def test_silence_is_a_fault():
    """A server that hangs is given up after the time-out."""

    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    with pytest.raises(EndpointUnavailable, match=r"gave no answer in 0\.2 s"):
        _ask(hang, timeout_s=0.2)


def test_an_outage_costs_its_patience_once():
    """With nothing succeeding, the second sample gives up at once; one success resets the clock."""
    now = [0.0]

    async def fail() -> None:
        now[0] += 1.0
        raise EndpointUnavailable("down", retry_after_s=0)

    async def work() -> str:
        return "up"

    async def go() -> list[float]:
        outage = Outage(5.0, clock=lambda: now[0])
        spent = []
        for _ in range(2):
            before = now[0]
            with pytest.raises(EndpointUnavailable):
                await outage.ride_out(fail)
            spent.append(now[0] - before)
        assert await outage.ride_out(work) == "up" and outage.sentence == ""
        before = now[0]
        with pytest.raises(EndpointUnavailable):
            await outage.ride_out(fail)
        return [*spent, now[0] - before]

    assert asyncio.run(go()) == [6.0, 1.0, 6.0]
