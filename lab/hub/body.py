"""A file as an HTTP answer: whole or a range, in pieces of a megabyte, read outside the event loop."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

CHUNK = 1024 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Span:
    """Bytes [start, stop) of a file."""

    start: int
    stop: int


def span_of(asked: str | None, size: int) -> Span | None:
    """What a Range header asks for; None for the whole file (also for ranges we don't speak). ValueError is a 416."""
    match = _RANGE.fullmatch(asked.strip()) if asked else None
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return Span(max(0, size - int(last)), size)
    span = Span(int(first), min(size, int(last) + 1) if last else size)
    if span.start >= size or span.start >= span.stop:
        raise ValueError(f"{asked} of {size} bytes")
    return span


def file_response(file: Path, size: int, asked: str | None, headers: dict[str, str], head: bool) -> Response:
    """200, 206 or 416 with the right lengths; `head` sends no body."""
    try:
        span = span_of(asked, size)
    except ValueError:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    if span:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    whole = span or Span(0, size)
    headers["Content-Length"] = str(whole.stop - whole.start)
    status = 206 if span else 200
    if head:
        return Response(status_code=status, headers=headers)
    return FileBody(_pieces(file, whole), status, headers=headers)


class FileBody(StreamingResponse):
    """Closes its file at once when the client is gone, not when the garbage collector finds time."""

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self.body_iterator):
            await super().stream_response(send)


async def _pieces(file: Path, span: Span) -> AsyncGenerator[bytes, None]:
    left = span.stop - span.start
    with file.open("rb", buffering=0) as stream:
        stream.seek(span.start)
        while left:
            piece = await anyio.to_thread.run_sync(stream.read, min(CHUNK, left))
            if not piece:
                return
            left -= len(piece)
            yield piece
