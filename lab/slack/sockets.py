"""Socket Mode: the app's websockets, and envelopes that one of them must acknowledge."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from lab.slack.seed import APP_ID

TICKET_LIVES = 30.0


class NotAcknowledged(Exception):
    """`reason` is what Slack calls it: operation_timeout, or dispatch_failed when no socket is open."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Sockets:
    """The open Socket Mode connections. Each envelope goes to one of them, in turn."""

    def __init__(self, ack_within: float, retry_delays: tuple[float, ...], changed: Callable[[int], None]):
        self.ack_within = ack_within
        self.retry_delays = retry_delays
        self.changed = changed
        self.open: list[web.WebSocketResponse] = []
        self.turn = 0
        self.tickets: dict[str, float] = {}
        self.waiting: dict[str, tuple[web.WebSocketResponse, asyncio.Future]] = {}
        self.deliveries: set[asyncio.Task] = set()
        self.log: list[dict] = []
        self.by_http: Callable[..., Awaitable[object]] | None = None  # HTTP mode: instead of the sockets

    def ticket(self) -> str:
        ticket = uuid.uuid4().hex
        self.tickets[ticket] = time.monotonic() + TICKET_LIVES
        return ticket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection, from its ticket to its end."""
        if self.tickets.pop(request.query.get("ticket", ""), 0) < time.monotonic():
            return web.Response(status=401, text="this ticket was used, is too old, or was never given")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.open.append(socket)
        self.changed(len(self.open))
        hello = {"type": "hello", "num_connections": len(self.open), "connection_info": {"app_id": APP_ID}}
        hello["debug_info"] = {"host": "lab", "approximate_connection_time": 3600}
        try:
            await socket.send_json(hello)
            async for frame in socket:
                if frame.type == WSMsgType.TEXT:
                    self.acknowledged(frame.data)
        finally:
            self.leave(socket)
        return socket

    def acknowledged(self, data: str) -> None:
        try:
            frame = json.loads(data)
            envelope_id = frame.get("envelope_id")
        except (ValueError, AttributeError):
            return
        _, answer = self.waiting.get(envelope_id, (None, None))
        if answer and not answer.done():
            answer.set_result(frame.get("payload"))

    def leave(self, socket: web.WebSocketResponse) -> None:
        if socket in self.open:
            self.open.remove(socket)
            self.changed(len(self.open))
        for owner, answer in list(self.waiting.values()):
            if owner is socket and not answer.done():
                answer.set_exception(NotAcknowledged("operation_timeout"))

    async def ask(self, kind: str, payload: dict, **more: object) -> object:
        """Send one envelope and return the payload of its acknowledgement (None, a dict or a string).

        Raises NotAcknowledged after `ack_within` seconds, or at once when no socket is open.
        """
        if self.by_http is not None:
            return await self._ask_by_http(kind, payload, more)
        for gone in [socket for socket in self.open if socket.closed]:
            self.leave(gone)
        if not self.open:
            raise NotAcknowledged("dispatch_failed")
        self.turn += 1
        socket = self.open[self.turn % len(self.open)]
        envelope_id = str(uuid.uuid4())
        answer = asyncio.get_running_loop().create_future()
        self.waiting[envelope_id] = (socket, answer)
        envelope = {"type": kind, "envelope_id": envelope_id, "payload": payload, **more}
        envelope["accepts_response_payload"] = kind != "events_api"
        entry = self._note(kind, envelope_id, payload, more)
        try:
            await socket.send_json(envelope)
            said = await asyncio.wait_for(answer, self.ack_within)
        except (TimeoutError, ConnectionError):
            raise NotAcknowledged("operation_timeout") from None
        finally:
            del self.waiting[envelope_id]
        entry["acknowledged"] = True
        entry["ms"] = round((time.time() - entry["time"]) * 1000, 1)
        return said

    async def _ask_by_http(self, kind: str, payload: dict, more: dict) -> object:
        entry = self._note(kind, "", payload, more)
        said = await self.by_http(kind, payload, **more)
        entry["acknowledged"] = True
        entry["ms"] = round((time.time() - entry["time"]) * 1000, 1)
        return said

    def _note(self, kind: str, envelope_id: str, payload: dict, more: dict) -> dict:
        entry = {"type": kind, "envelope_id": envelope_id, "time": time.time(), "acknowledged": False, **more}
        entry["event"] = payload.get("event", {}).get("type") or payload.get("command") or payload.get("type")
        self.log.append(entry)
        return entry

    def deliver(self, event: dict) -> None:
        """Send an events_api envelope in the background, again after each retry delay until one is acknowledged."""
        task = asyncio.get_running_loop().create_task(self.persist(event))
        self.deliveries.add(task)
        task.add_done_callback(self.deliveries.discard)

    async def persist(self, event: dict) -> None:
        retry = {"retry_attempt": 0, "retry_reason": ""}
        for attempt, delay in enumerate((0.0, *self.retry_delays)):
            await asyncio.sleep(delay)
            try:
                await self.ask("events_api", event, **retry)
                return
            except NotAcknowledged as missed:
                timeout = missed.reason == "operation_timeout"
                reason = "timeout" if timeout else "connection_failed"
                retry = {"retry_attempt": attempt + 1, "retry_reason": reason}

    async def disconnect(self, warn: bool = True) -> int:
        """Make every client connect anew; with `warn` as Slack does (a `disconnect` frame first), else just cut."""
        leaving = list(self.open)
        for socket in leaving:
            if warn:
                frame = {"type": "disconnect", "reason": "refresh_requested", "debug_info": {"host": "lab"}}
                await socket.send_str(json.dumps(frame))
            self.leave(socket)
            await socket.close()
        return len(leaving)

    async def stop(self) -> None:
        for task in list(self.deliveries):
            task.cancel()
        await self.disconnect(warn=False)
