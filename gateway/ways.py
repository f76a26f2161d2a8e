"""Which address takes which kind of call: the one table. A new kind of call is a row here."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway import call as calls
from gateway.call import CHAT, PATH_OF, TEXT, Call
from gateway.dialect import OPENAI, Dialect
from gateway.keys import Key
from gateway.request import Request


def parse_json(way: "Way", caller: Key, request: Request) -> Call:
    """A call of the OpenAI kinds. ApiError(400) says what is wrong with it."""
    trace = request.headers.get(b"traceparent", b"").decode("latin-1")
    return calls.parse(way.kind, caller, request.body, trace)


@dataclass(frozen=True)
class Way:
    """`path` is ours, with POST; `parse` makes a call of a request whose head was admitted, or raises ApiError."""

    path: str
    kind: str
    dialect: Dialect = OPENAI
    parse: Callable[["Way", Key, Request], Call] = parse_json


WAYS = {way.path: way for way in (Way(PATH_OF[CHAT], CHAT), Way(PATH_OF[TEXT], TEXT))}
