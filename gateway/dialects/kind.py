"""What a kind of call is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.dialect import OPENAI, Dialect
from gateway.wire import Wire


class Chunks(Protocol):
    """One stream on its way out of chat's chunks into another dialect's events."""

    def chunk(self, chunk: dict[str, Any]) -> bytes: ...

    def end(self) -> bytes:
        """The last events. What is here leaves only when the call is accounted for."""
        ...


class Translation(Protocol):
    """For backends that speak only chat completions. Pure."""

    def request(self, body: dict[str, Any]) -> dict[str, Any]:
        """As a chat's body. ApiError(400) for what a chat can't express."""
        ...

    def answer(self, asked: dict[str, Any], chat: dict[str, Any]) -> dict[str, Any]:
        """A chat's whole answer to the request `asked`."""
        ...

    def stream(self, asked: dict[str, Any], id: str) -> Chunks: ...


@dataclass(frozen=True)
class Kind:
    """`wire`: how vLLM's bytes are treated, which speaks nearly everything. `transformers`: the same for its server;
    None: it doesn't speak this. Then `translation` asks for a chat instead; without one the caller is told `what` the
    model can't do."""

    name: str
    path: str
    what: str
    check: Callable[[dict[str, Any]], None]
    wire: type[Wire] | None
    transformers: type[Wire] | None = None
    translation: Translation | None = None
    dialect: Dialect = OPENAI
