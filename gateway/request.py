"""One request as it came through a door."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.errors import ApiError

if TYPE_CHECKING:
    from gateway.ways import Way


class Request:
    """`headers` has lower-case names; of several of one name the last. `caller` is whoever `admit` found it to be."""

    __slots__ = ("body", "caller", "headers", "keep_alive", "method", "modern", "path", "query", "refusal", "way")

    def __init__(self, method: str, path: str, query: bytes, headers: dict[bytes, bytes], modern: bool):
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.modern = modern  # HTTP/1.1
        self.keep_alive = False
        self.body: bytes | bytearray = b""
        self.caller: object = None
        self.refusal: ApiError | None = None
        self.way: Way | None = None  # None: not a call to a model


def credential(headers: Mapping[bytes, bytes]) -> bytes:
    """As an authorization header; clients of Anthropic's API send x-api-key instead."""
    if (authorization := headers.get(b"authorization")) is not None:
        return authorization
    return b"Bearer " + headers.get(b"x-api-key", b"")
