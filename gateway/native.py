"""The way to a provider that speaks the caller's dialect: what he asked goes there as it is, and so does the answer.

A chat has no words for thoughts with signatures, marks of what is to be cached, tools that run at the provider's, or
citations: whoever asks Anthropic's API in Anthropic's words gets them. Only the model's name is another, and usage is
read in passing.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.call import Call, Reply, fail, finish
from gateway.dialects.kinds import COUNT, KINDS, MESSAGES
from gateway.dialects.native import CountWire, ProviderMessagesWire
from gateway.errors import ApiError, backend_trouble, bad_request, too_slow
from gateway.log import say
from gateway.prices import price
from gateway.providers import ProviderModel, Providers
from gateway.router import LiteLLM
from gateway.upstream import LARGEST_ANSWER
from gateway.wire import EVENTS, JSON, Garbage
from gateway.writer import Writer

VERSION = "2023-06-01"
CONNECT_S = 10.0
MOST_TRIES = 2
OVERLOADED = 529
AGAIN = (500, 502, 503, OVERLOADED)
"""Nothing was answered: asked once more."""

_PLAIN = re.compile(rb"[\w.,\- ]{1,500}")


@dataclass(frozen=True)
class Home:
    """Where a provider listens, and for which kinds of call it speaks the caller's dialect."""

    address: str
    wires: Mapping[str, type]


HOMES = {"anthropic": Home("https://api.anthropic.com", {MESSAGES: ProviderMessagesWire, COUNT: CountWire})}


class NotAnswered(Exception):
    """`error` is what to say if it can't be tried again."""

    def __init__(self, error: ApiError):
        super().__init__(str(error))
        self.error = error


@dataclass
class Native:
    """`patience_s`: how long a provider may send nothing."""

    providers: Providers
    litellm: LiteLLM
    writer: Writer
    patience_s: float
    _client: Any = None
    _seats: dict[str, tuple[int, asyncio.Semaphore]] = field(default_factory=dict)

    def speaks(self, call: Call, model: ProviderModel) -> bool:
        home = HOMES.get(model.provider)
        return home is not None and call.kind in home.wires

    async def answer(self, call: Call, model: ProviderModel, reply: Reply) -> None:
        """Answer the call from the provider. Raises ApiError when nothing was sent yet."""
        async with self._seat(model):
            for tries in range(1, MOST_TRIES + 1):
                try:
                    return await self._attempt(call, model, reply)
                except NotAnswered as failure:
                    say("provider.failed", id=call.id, model=model.name, status=failure.error.status)
                    if tries == MOST_TRIES:
                        await fail(call, reply, self.writer, failure.error)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _attempt(self, call: Call, model: ProviderModel, reply: Reply) -> None:
        import httpx  # only where a provider is asked: it takes a tenth of a second

        home, name = HOMES[model.provider], model.litellm_model.partition("/")[2]
        wire = home.wires[call.kind](call, name)
        address = _base(model.api_base or home.address) + KINDS[call.kind].path
        asked = self._http().stream("POST", address, content=wire.request(), headers=self._headers(call, model))
        try:
            async with asked as answer:
                if answer.status_code != 200:
                    raise _refused(answer.status_code, answer.headers, await _whole(answer))
                if call.stream:
                    await self._stream(call, model, answer, wire, reply)
                    return
                payload = wire.whole(await _whole(answer))
            call.first_byte()
            await self._price(call, model)
            await call.settle(self.writer)
            await reply.start(200, JSON)
            await reply.end(payload)
        except httpx.TimeoutException:
            raise too_slow("The provider took too long. Try again, or stream the answer.") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotAnswered(_unreachable()) from error
        except Garbage as error:
            raise backend_trouble(f"The provider sent {error}. Try again.") from None

    async def _stream(
        self, call: Call, model: ProviderModel, answer: Any, wire: ProviderMessagesWire, reply: Reply
    ) -> None:
        import httpx

        trouble: ApiError | None = None
        try:
            async for data in answer.aiter_bytes():
                call.first_byte()
                if ready := wire.feed(data):
                    if not reply.started:
                        await reply.start(200, EVENTS)
                    await reply.write(ready)
                if wire.done or wire.broken:
                    break
        except (httpx.HTTPError, Garbage):
            if not reply.started:
                raise
            trouble = backend_trouble("The provider went away in the middle of this answer. Ask again.")
        except BaseException:  # the caller went away: what was read of his question is billed
            wire.count_so_far()
            await self._price(call, model)
            raise
        if not (wire.done or wire.broken or trouble):
            if not reply.started:
                raise NotAnswered(_unreachable())
            trouble = backend_trouble("The provider ended this answer before it was complete. Ask again.")
        if not wire.done:
            call.status = 502
            wire.count_so_far()
        await self._price(call, model)
        if not reply.started:
            await reply.start(200, EVENTS)
        await finish(call, reply, self.writer, call.dialect.event(trouble) if trouble else wire.end())

    async def _price(self, call: Call, model: ProviderModel) -> None:
        if call.kind == COUNT:
            call.cost = 0.0
            return
        if not model.priced:
            await self.litellm.router()  # its price map, should it still be imported
        price(call, model, self.litellm.module)

    def _headers(self, call: Call, model: ProviderModel) -> dict[str, str]:
        said = {name: value for name, value in call.said.items() if _PLAIN.fullmatch(value)}
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "anthropic-version": said.get(b"anthropic-version", VERSION.encode()).decode("ascii", "ignore"),
        }
        if beta := said.get(b"anthropic-beta"):
            headers["anthropic-beta"] = beta.decode("ascii", "ignore")
        if key := self.providers.key(model):
            headers["x-api-key"] = key
        return headers

    def _http(self) -> Any:
        if self._client is None:
            import httpx

            timeout = httpx.Timeout(self.patience_s, connect=CONNECT_S, pool=None)
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
            self._client = httpx.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False)
        return self._client

    def _seat(self, model: ProviderModel) -> Any:
        if model.max_parallel is None:
            return _nobody_waits()
        known = self._seats.get(model.name)
        if known is None or known[0] != model.max_parallel:
            known = self._seats[model.name] = (model.max_parallel, asyncio.Semaphore(model.max_parallel))
        return known[1]


class _nobody_waits:
    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None


def _base(address: str) -> str:
    """Without what people and litellm's users write after it."""
    return re.sub(r"(/v1(/messages)?)?/*$", "", address)


async def _whole(answer: Any) -> bytes:
    parts, size = [], 0
    async for part in answer.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > LARGEST_ANSWER:
            raise Garbage(f"an answer of more than {LARGEST_ANSWER} bytes")
    return b"".join(parts)


def _refused(status: int, headers: Mapping[str, str], payload: bytes) -> Exception:
    if status in AGAIN:
        sentence = "The provider is overloaded or failed. Try again in a few seconds."
        return NotAnswered(ApiError(503 if status in (503, OVERLOADED) else 502, sentence, "server_error", "provider"))
    if status == 429:
        wait = headers.get("retry-after", "")
        sentence = "The provider limits our requests at the moment. Try again in a little while."
        wait_s = min(3600, int(wait)) if wait.isascii() and wait.isdigit() else 10
        return ApiError(429, sentence, "rate_limit_error", "provider_rate_limit", retry_after_s=wait_s)
    if status in (400, 413, 422):
        return bad_request(f"The provider refused the request: {_said(payload)}", "refused_by_provider")
    if status in (401, 403):
        return backend_trouble("The provider does not accept the gateway's key. Tell the gateway's operator.")
    if status == 404:
        return backend_trouble("The provider does not know this model. Tell the gateway's operator.")
    return backend_trouble("The provider failed. Try again in a few seconds.")


def _said(payload: bytes) -> str:
    try:
        return str(orjson.loads(payload)["error"]["message"])[:1000]
    except (ValueError, KeyError, TypeError):
        return "it gave no reason."


def _unreachable() -> ApiError:
    return backend_trouble("The provider can't be reached or failed. Try again in a few seconds.")
