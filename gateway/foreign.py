"""The way to an answer from a proprietary provider: through the LiteLLM Router, where `native` can't go."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from gateway.call import CHAT, TEXT, Call, Reply, fail, finish
from gateway.dialects.kind import Chunks
from gateway.dialects.kinds import COUNT, KINDS
from gateway.dialects.messages import request as as_messages
from gateway.dialects.translated import as_chat
from gateway.errors import ApiError, backend_trouble, bad_request, too_slow
from gateway.foreign_asks import ALLOWED, ASKS, Ask
from gateway.log import say
from gateway.native import Native
from gateway.prices import price
from gateway.providers import ProviderModel
from gateway.router import LiteLLM, group
from gateway.wire import DONE, EVENTS, JSON, dumps, to_event
from gateway.writer import Writer

OPENAI = "openai"
NOT_SENT = frozenset({"model", "stream", "stream_options"})


class ChatChunks:
    """Implements kind.Chunks for callers who asked for a chat: chunks stay what they are."""

    def __init__(self, call: Call):
        self._call = call

    def chunk(self, chunk: dict[str, Any]) -> bytes:
        chunk["model"] = self._call.asked
        if chunk.get("usage"):
            if not any(c.get("finish_reason") or c.get("delta") for c in chunk.get("choices", ())):
                chunk["choices"] = []  # litellm puts an empty one there
            if not self._call.wants_usage:
                del chunk["usage"]
                if not chunk["choices"]:
                    return b""
        return to_event(chunk)

    def end(self) -> bytes:
        return DONE


@dataclass
class Foreign:
    litellm: LiteLLM
    writer: Writer
    native: Native

    async def answer(self, call: Call, model: ProviderModel, reply: Reply) -> None:
        """Answer the call from the provider. Raises ApiError when nothing was sent yet."""
        call.provider, call.model = model.provider, model.name
        if self.native.speaks(call, model):
            await self.native.answer(call, model, reply)
            return
        router = await self.litellm.router()
        if router is None:
            raise backend_trouble("Providers can't be called: litellm is missing. Tell the gateway's operator.")
        kind = KINDS[call.kind]
        try:
            if call.kind in (CHAT, TEXT) or kind.translation is not None:
                await self._chat(call, model, router, reply)
            elif call.kind == COUNT:
                await self._count(call, model, reply)
            elif (ask := ASKS.get(call.kind)) is not None:
                await self._ask(call, model, ask, getattr(router, ask.method), reply)
            else:
                raise bad_request(f"Providers' models can't do {kind.what} here. Call another model.", "unsupported")
        except ApiError:
            raise
        except Exception as error:  # litellm's tree is wide and some of it is plain Exception
            trouble = _translate(error)
            say("provider.failed", id=call.id, model=model.name, kind=type(error).__name__, status=trouble.status)
            await fail(call, reply, self.writer, trouble)

    async def _chat(self, call: Call, model: ProviderModel, router: Any, reply: Reply) -> None:
        translation = KINDS[call.kind].translation
        body = call.body if translation is None else as_chat(translation, call.body)
        allowed = ALLOWED[TEXT if call.kind == TEXT else CHAT]
        sent = {key: value for key, value in body.items() if key in allowed and value is not None}
        self._can(model, sent)
        if model.provider == OPENAI and (more := {k: v for k, v in body.items() if k not in allowed | NOT_SENT}):
            sent["extra_body"] = more  # what litellm doesn't know, that API may: not among litellm's own parameters
        if sent.get("tools"):  # else litellm looks for tool servers to call itself, in a package that we lack
            sent["_skip_mcp_handler"] = True
        asks = router.atext_completion if call.kind == TEXT else router.acompletion
        if call.stream:
            answer = await asks(model=group(model), stream=True, stream_options={"include_usage": True}, **sent)
            chunks = ChatChunks(call) if translation is None else translation.stream(call.body, call.id)
            await self._stream(call, model, answer, chunks, reply)
            return
        answer = (await asks(model=group(model), **sent)).model_dump(exclude_none=True)
        call.first_byte()
        call.count(answer.get("usage"))
        self._price(call, model)
        answer["model"] = call.asked
        for choice in answer.get("choices") or ():
            if isinstance(choice.get("message"), dict):
                choice["message"].setdefault("content", None)
        answer = answer if translation is None else translation.answer(call.body, answer)
        await self._whole(call, reply, JSON, dumps(answer))

    def _can(self, model: ProviderModel, sent: dict[str, Any]) -> None:
        """ApiError(400) for what litellm would drop without a word although the answer depends on it."""
        missed = [name for name in ("logprobs", "tools") if sent.get(name)] + ["n"] * (sent.get("n", 1) != 1)
        supported = missed and self.litellm.module.get_supported_openai_params(model=model.litellm_model)
        if supported and (lacking := [name for name in missed if name not in supported]):
            sentence = f"This model's provider has no `{lacking[0]}`. Leave it out, or call another model."
            raise bad_request(sentence, "unsupported")

    async def _stream(self, call: Call, model: ProviderModel, answer: Any, chunks: Chunks, reply: Reply) -> None:
        seen = 0
        try:
            async for piece in answer:
                call.first_byte()
                chunk = piece.model_dump(exclude_none=True)
                call.count(chunk.get("usage"))
                if not (events := chunks.chunk(chunk)):
                    continue
                seen += 1
                if not reply.started:
                    await reply.start(200, EVENTS)
                await reply.write(events)
        except BaseException:
            call.count_chunks(seen)
            self._price(call, model)
            await _hang_up(answer)
            raise
        self._price(call, model)
        if not reply.started:
            await reply.start(200, EVENTS)
        await finish(call, reply, self.writer, chunks.end())

    async def _ask(self, call: Call, model: ProviderModel, ask: Ask, asks: Any, reply: Reply) -> None:
        answer = await asks(model=group(model), **ask.sent(call))
        call.first_byte()
        content_type, payload = ask.put(call, answer)
        self._price(call, model)
        if call.cost is None and not model.priced:
            call.cost = (getattr(answer, "_hidden_params", None) or {}).get("response_cost")
        await self._whole(call, reply, content_type, payload)

    async def _count(self, call: Call, model: ProviderModel, reply: Reply) -> None:
        """Counted here: not every provider counts, and none bills for it."""
        messages = as_messages(call.body)["messages"]
        counted = await asyncio.to_thread(
            self.litellm.module.token_counter, model=model.litellm_model, messages=messages
        )
        call.cost = 0.0
        await self._whole(call, reply, JSON, dumps({"input_tokens": counted}))

    async def _whole(self, call: Call, reply: Reply, content_type: bytes, payload: bytes) -> None:
        await call.settle(self.writer)
        await reply.start(200, content_type)
        await reply.end(payload)

    def _price(self, call: Call, model: ProviderModel) -> None:
        price(call, model, self.litellm.module)


async def _hang_up(answer: Any) -> None:
    """The caller went away, or the stream broke: the provider must hear that nobody listens any more."""
    close = getattr(answer, "aclose", None)
    if close is not None:
        try:
            async with asyncio.timeout(2):
                await close()
        except Exception as error:  # of a stream that is already broken; it is gone either way
            say("provider.unclosed", kind=type(error).__name__)


def _translate(error: Exception) -> ApiError:
    status = getattr(error, "status_code", None)
    if status == 429:
        sentence = "The provider limits our requests at the moment. Try again in a little while."
        return ApiError(429, sentence, "rate_limit_error", "provider_rate_limit", retry_after_s=10)
    if status in (400, 413, 422):
        sentence = f"The provider refused the request: {_said(error)}"
        return ApiError(400, sentence, "invalid_request_error", "refused_by_provider")
    if status in (401, 403):
        return backend_trouble("The provider does not accept the gateway's key. Tell the gateway's operator.")
    if status == 404:
        return backend_trouble("The provider does not know this model. Tell the gateway's operator.")
    if status in (408, 504):
        return too_slow("The provider took too long. Try again, or stream the answer.")
    return backend_trouble("The provider can't be reached or failed. Try again in a few seconds.")


def _said(error: Exception) -> str:
    """The provider's own sentence, without litellm's frame around it."""
    text = str(getattr(error, "message", error)).split("\n\nLiteLLM: ")[0]
    return re.sub(r"^(litellm\.\w+: *|\w+Error: *|\w+Exception *- *)+", "", text)[:1000]
