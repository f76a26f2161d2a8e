"""What stands behind the doors: calls to models on a short way, everything else to the ASGI app.

Finds out who asks, and turns every trouble into one plain sentence and one row.
"""

import asyncio
import contextlib
from functools import partial

from gateway import visible
from gateway.admission import Check
from gateway.app import App
from gateway.asgi import run
from gateway.auth.refusal import Short
from gateway.call import Call, Reply
from gateway.credentials import caller, resolve
from gateway.errors import ApiError, unknown_model
from gateway.gate import Gate
from gateway.listing import callable_names
from gateway.log import say
from gateway.reply import HttpReply
from gateway.request import Request, credential
from gateway.ways import WAYS


class Front:
    """Implements door.House."""

    def __init__(self, gate: Gate):
        self._gate = gate
        self._app = App(gate)

    def admit(self, request: Request) -> None:
        """A call to a model needs a living key before its body is read."""
        if (way := WAYS.get(request.path)) is not None:
            request.way = way
            if request.method != "POST":
                sentence = f"This address takes POST, not {request.method[:20]}."
                raise ApiError(405, sentence, "invalid_request_error", "method_not_allowed")
            request.caller = caller(self._gate, credential(request.headers))

    async def answer(self, request: Request, reply: HttpReply) -> None:
        if (way := request.way) is None:
            await run(self._app, request, reply)
            return
        try:
            if request.caller is None:
                request.caller = await resolve(self._gate, credential(request.headers))
            call = way.parse(way, request.caller, request)
        except ApiError as error:
            await reply.error(error)
            return
        call.size = len(request.body)
        request.body = b""
        call.dialect = way.dialect
        call.priority = request.caller.priority
        call.session = request.headers.get(b"x-session-id", b"")
        reply.id = call.id
        await self._complete(call, reply)

    async def _complete(self, call: Call, reply: HttpReply) -> None:
        passed: list[Check] = []
        try:
            for check in self._gate.checks:
                try:
                    check.before(call)
                except Short as short:  # other hosts may give some of their share of a limit
                    await self._gate.limiter.later(call, short, partial(check.before, call))
                passed.append(check)
            reply.lines = call.lines
            recorder = self._gate.recorder
            await self._ask(call, reply, reply if recorder is None else recorder.around(call, reply))
        except ApiError as error:
            await self._tell(call, reply, error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # our own mistake: the caller still gets a sentence, the operator the kind
            say("request.crashed", id=call.id, kind=type(error).__name__, reason=str(error)[:300])
            sentence = f"The gateway failed on this request ({call.id}). Tell its operator."
            await self._tell(call, reply, ApiError(500, sentence, "server_error", "internal"))
        finally:
            if call.uncounted is not None and not call.settled:
                self._gate.counter.later(call, *call.uncounted)
            else:
                call.abandon(self._gate.writer)
            for check in passed:
                check.after(call)

    async def _ask(self, call: Call, reply: HttpReply, out: Reply) -> None:
        """`out` is the reply, or what looks on."""
        gate, key = self._gate, call.caller
        if visible.own(gate.live.table, key, call.asked):
            await gate.own.answer(call, lambda: visible.own(gate.live.table, key, call.asked), out)
        elif (model := visible.foreign(gate.providers, key, call.asked)) is not None:
            call.provider, call.model = model.provider, model.name
            await gate.spending.check(call, model)
            reply.lines = call.lines
            await gate.foreign.answer(call, model, out)
        else:
            call.settled = True  # nothing was asked of anybody: no row
            raise unknown_model(call.asked, callable_names(gate.live.table, gate.providers, key))

    async def _tell(self, call: Call, reply: HttpReply, error: ApiError) -> None:
        """Account for a failed call and tell its caller, as an answer or inside the stream."""
        call.status = error.status
        reply.lines = call.lines
        with contextlib.suppress(ApiError):  # the ledger is down: that is then the smaller trouble
            await call.settle(self._gate.writer)
        if reply.started:
            await reply.end(call.dialect.event(error))
        else:
            await reply.error(error)
