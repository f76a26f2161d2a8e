"""How a family of clients wants to be told of trouble. What an answer looks like is the business of its `Wire`."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import ApiError


@dataclass(frozen=True)
class Dialect:
    """`error`: a whole answer's body, JSON. `event`: the same inside a stream that has begun, with its blank line."""

    name: str
    error: Callable[[ApiError], bytes]
    event: Callable[[ApiError], bytes]


OPENAI = Dialect("openai", ApiError.body, ApiError.event)
