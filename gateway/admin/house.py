"""What stands behind the door of the admin API: nobody comes in without an admin key, not even to a 404."""

import time

from gateway.admin.app import AdminApp
from gateway.asgi import run
from gateway.auth.key import ADMIN
from gateway.auth.ring import KeyRing
from gateway.errors import ApiError
from gateway.gate import Gate
from gateway.reply import HttpReply
from gateway.request import Request, credential


class AdminHouse:
    """Implements door.House."""

    def __init__(self, gate: Gate):
        self._app = AdminApp(gate)
        self._ring = KeyRing(gate.settings.gateway_path, ADMIN)

    def admit(self, request: Request) -> None:
        """With the head, before any body. Raises ApiError(401)."""
        scheme, _, plaintext = credential(request.headers).decode("latin-1").partition(" ")
        self._ring.refresh()
        if scheme.lower() == "bearer":
            request.caller = self._ring.caller(plaintext.strip(), time.time())
        if request.caller is None:
            sentence = "This is no living admin key. `dayzero keys create NAME --admin` makes one."
            raise ApiError(401, sentence, "authentication_error", "invalid_admin_key")

    async def answer(self, request: Request, reply: HttpReply) -> None:
        async def app(scope: dict, receive: object, send: object) -> None:
            await self._app({**scope, "caller": request.caller}, receive, send)

        await run(app, request, reply)

    def close(self) -> None:
        self._ring.close()
