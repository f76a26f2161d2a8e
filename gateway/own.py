"""The way to an answer from our own servers: choose a replica, stream its bytes, try another while nothing was sent.

What may be tried again: a refused connection (the request never arrived) on any replica; a connection that broke before
the first byte once only, because a request that kills one engine must not be led to all of them.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.call import CHAT, TEXT, Call, Reply, finish
from gateway.counting import Counter, Sample
from gateway.dialects.kinds import COUNT
from gateway.dialects.wires import wire_for
from gateway.errors import ApiError, backend_trouble, no_endpoint, too_slow
from gateway.log import say
from gateway.quality import FAILED_ATTEMPT
from gateway.replicas import Fleet, Replica
from gateway.routing import Endpoint, Served
from gateway.seats import Find, Seat, Seats
from gateway.upstream import Address, Connection, Lost, NotConnected, Pool, Silent, address_of
from gateway.waking import Waking
from gateway.wire import EVENTS, JSON, Garbage, Wire, dumps, loads
from gateway.writer import Writer

PROBE_S = 2.0
OUT_OF_SORTS = (502, 503, 504)

_TRACE = re.compile(r"[0-9a-f-]{1,100}")


class Failed(Exception):
    """This attempt gave nothing. `arrived`: the backend may have begun to work. `error`: what to say in the end."""

    def __init__(self, error: ApiError, arrived: bool):
        super().__init__(str(error))
        self.error = error
        self.arrived = arrived


@dataclass
class Own:
    pool: Pool
    fleet: Fleet
    writer: Writer
    gpu_hour_price: float
    seats: Seats
    waking: Waking
    counter: Counter

    async def answer(self, call: Call, find: Find, reply: Reply) -> None:
        """Answer the call from one of the replicas that `find` finds. Raises ApiError when nothing was sent yet."""
        candidates = find()
        call.provider = "own"
        call.model = candidates[0].model
        call.deployment_id = candidates[0].id
        self.waking.asked(candidates)
        tried: set[Replica] = set()
        arrived = 0
        error = None
        while (seat := await self.seats.take(call, find, tried, self.waking.hold_s)) is not None:
            served, replica = seat.served, seat.replica
            tried.add(replica)
            try:
                await self._attempt(call, seat, reply)
                return
            except Failed as failure:
                error = failure.error
                arrived += failure.arrived
                row = (time.time(), call.id, served.id, replica.endpoint.id, str(failure)[:300])
                self.writer.put(FAILED_ATTEMPT, row)
                say("attempt.failed", id=call.id, endpoint=replica.endpoint.id, reason=str(failure))
                if arrived > 1:
                    break
        raise error or self.waking.trouble(call.asked, find())

    async def _attempt(self, call: Call, seat: Seat, reply: Reply) -> None:
        served, replica, endpoint = seat.served, seat.replica, seat.replica.endpoint
        call.model, call.deployment_id, call.endpoint_id = served.model, served.id, endpoint.id
        address = address_of(endpoint.url)

        def leave() -> None:
            seat.leave()
            call.cost = seat.share_s / 3600 * served.gpus * self.gpu_hour_price
            call.cost_estimated = True

        connection = wire = None
        try:
            if call.kind == COUNT and endpoint.engine == "transformers":
                await self._count(call, served, reply)
                return
            wire, path = wire_for(call, endpoint.engine, endpoint.backend_model)
            request = _request(call, address, path, wire.content_type, wire.request())
            connection = await self.pool.take(address)
            began = time.monotonic()
            status = await connection.ask(request)
            now = time.monotonic()
            replica.answered(now - began, now)
            if status >= 400:
                await self._refused(call, replica, status, connection)
            elif call.stream:
                await self._stream(call, seat, connection, wire, reply, leave)
            else:
                await self._whole(call, connection, wire, reply, leave)
            replica.failures = 0
        except NotConnected as error:
            self.fleet.failed(replica, str(error))
            raise Failed(no_endpoint(call.asked, str(error)), arrived=False) from error
        except Silent:
            patience = f"{self.pool.first_byte_s:g} s"
            raise too_slow(f"The model sent nothing for {patience}. Ask for less, or stream.") from None
        except Lost as error:  # reset, closed, cut off: before the first byte went to the caller
            self.fleet.failed(replica, "connection lost")
            raise Failed(no_endpoint(call.asked, "the connection to it broke"), arrived=True) from error
        except Garbage as error:
            raise Failed(backend_trouble(f"The model's server sent {error}. Try again."), arrived=True) from error
        finally:
            leave()
            if wire is not None and wire.chunks and call.counted != "backend":
                call.uncounted = Sample.of(wire), served.revision
                call.count_chunks(wire.chunks)
            if connection is not None:
                self.pool.give_back(address, connection, only_the_end_is_missing=wire.done)

    async def _refused(self, call: Call, replica: Replica, status: int, connection: Connection) -> None:
        """The backend answered with an error: try elsewhere when it is the backend's fault, else tell the caller."""
        said = _reason(await connection.whole(), replica.endpoint.backend_model, call.asked)
        if status in OUT_OF_SORTS:
            self.fleet.failed(replica, f"HTTP {status}")
            raise Failed(no_endpoint(call.asked, f"HTTP {status}"), arrived=False)
        if status >= 500 and status != 501:
            raise Failed(backend_trouble(f"The model's server failed: {said} Try again."), arrived=True)
        if status in (404, 405, 501) and call.kind not in (CHAT, TEXT):
            raise ApiError(400, f"This model can't do this: {said}", "invalid_request_error", "unsupported")
        if status in (401, 403, 404, 405):  # the caller can't mend these: we asked in a wrong way
            raise backend_trouble(f"The model's server does not take the gateway's requests: {said} Tell its operator.")
        kind = "rate_limit_error" if status == 429 else "invalid_request_error"
        raise ApiError(400 if status == 422 else status, said, kind, "refused_by_model")

    async def _count(self, call: Call, served: Served, reply: Reply) -> None:
        """Its engine counts no tokens: done here, without the few that its template adds."""
        if (tokens := await self.counter.count(served.model, served.revision, call.body)) is None:
            raise ApiError(400, "This model's tokens can't be counted here.", "invalid_request_error", "unsupported")
        await call.settle(self.writer)
        await reply.start(200, JSON)
        await reply.end(dumps({"input_tokens": tokens}))

    async def _whole(
        self, call: Call, connection: Connection, wire: Wire, reply: Reply, leave: Callable[[], None]
    ) -> None:
        answer = wire.whole(await connection.whole())
        call.first_byte()
        leave()
        await call.settle(self.writer)
        await reply.start(200, wire.answer_type)
        await reply.end(answer)

    async def _stream(
        self,
        call: Call,
        seat: Seat,
        connection: Connection,
        wire: Wire,
        reply: Reply,
        leave: Callable[[], None],
    ) -> None:
        replica = seat.replica
        trouble: ApiError | None = None
        try:
            while not wire.done and (data := await connection.read()):
                call.first_byte()
                if ready := wire.feed(data):
                    if not reply.started:
                        await reply.start(200, EVENTS)
                    await reply.write(ready)
        except (Lost, Silent, Garbage) as error:
            if not reply.started:
                raise
            self.fleet.failed(replica, f"stream lost: {type(error).__name__}")
            trouble = backend_trouble("The model's server went away in the middle of this answer. Ask again.")
        if not wire.done and trouble is None:
            if not reply.started:
                raise Lost("an empty stream")
            if not wire.broken:
                self.fleet.failed(replica, "stream ended early")
            trouble = backend_trouble("The model's server ended this answer before it was complete. Ask again.")
        last = wire.end()
        leave()
        if trouble is not None or wire.broken:
            call.status = 502
        if call.counted != "backend":
            await self.counter.fill(call, Sample.of(wire), seat.served.revision)
        if trouble is not None:
            last = b"" if wire.broken else call.dialect.event(trouble)
        if not reply.started:
            await reply.start(200, EVENTS)
        await finish(call, reply, self.writer, last)

    async def probe(self, endpoint: Endpoint) -> bool:
        """Does it answer again? GET /health costs the engine nothing."""
        address = address_of(endpoint.url)
        connection = None
        try:
            async with asyncio.timeout(PROBE_S):
                connection = await self.pool.take(address)
                head = f"GET {address.prefix}/health HTTP/1.1\r\nHost: {address.authority}\r\n\r\n"
                status = await connection.ask(head.encode("latin-1"))
                await connection.whole()
                return status == 200
        except (NotConnected, Lost, Silent, TimeoutError, OSError):
            return False
        finally:
            if connection is not None:
                self.pool.give_back(address, connection)


def _request(call: Call, address: Address, path: str, content_type: str, body: bytes) -> bytes:
    trace = f"traceparent: {call.trace}\r\n" if call.trace and _TRACE.fullmatch(call.trace) else ""
    head = (
        f"POST {address.prefix}{path} HTTP/1.1\r\nHost: {address.authority}\r\n"
        f"Content-Type: {content_type or 'application/json'}\r\nX-Request-Id: {call.id}\r\n{trace}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


def _reason(payload: bytes, backend_model: str, asked: str) -> str:
    """The sentence in an error body, whatever its shape, with the caller's name for the model."""
    try:
        said = loads(payload)
    except Garbage:
        return "it gave no reason."
    error = said.get("error", said)
    text = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    text = text if isinstance(text, str) else dumps({"detail": text}).decode() if text else "it gave no reason."
    if backend_model:
        text = text.replace(f"{backend_model}@main", asked).replace(backend_model, asked)
    return text[:2000]
