"""The way to an answer from a proprietary provider, through the LiteLLM Router.

Only parameters of the OpenAI API go through: litellm takes others (api_base, api_key, mock_response …) that would let a
caller send the provider's key anywhere.
"""

import re
from dataclasses import dataclass
from typing import Any

from gateway.call import CHAT, TEXT, Call, Reply, fail, finish
from gateway.errors import ApiError, backend_trouble, too_slow
from gateway.log import say
from gateway.own import EVENTS, JSON
from gateway.providers import ProviderModel
from gateway.router import LiteLLM, group
from gateway.wire import DONE, dumps, to_event
from gateway.writer import Writer

SHARED = frozenset(
    "frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed stop temperature top_p user".split()
)
ALLOWED = {
    CHAT: SHARED
    | frozenset(
        "messages max_completion_tokens top_logprobs tools tool_choice parallel_tool_calls response_format"
        " reasoning_effort modalities prediction service_tier thinking top_k".split()
    ),
    TEXT: SHARED | frozenset("prompt best_of echo suffix".split()),
}


@dataclass
class Foreign:
    litellm: LiteLLM
    writer: Writer

    async def answer(self, call: Call, model: ProviderModel, reply: Reply) -> None:
        """Answer the call from the provider. Raises ApiError when nothing was sent yet."""
        call.provider, call.model = model.provider, model.name
        router = await self.litellm.router()
        if router is None:
            raise backend_trouble("Providers can't be called: litellm is missing. Tell the gateway's operator.")
        asks = router.acompletion if call.kind == CHAT else router.atext_completion
        sent = {key: value for key, value in call.body.items() if key in ALLOWED[call.kind] and value is not None}
        try:
            if call.stream:
                answer = await asks(model=group(model), stream=True, stream_options={"include_usage": True}, **sent)
                await self._stream(call, model, answer, reply)
            else:
                answer = (await asks(model=group(model), **sent)).model_dump(exclude_none=True)
                call.first_byte()
                await self._whole(call, model, answer, reply)
        except ApiError:
            raise
        except Exception as error:  # litellm's tree is wide and some of it is plain Exception
            trouble = _translate(error)
            say("provider.failed", id=call.id, model=model.name, kind=type(error).__name__, status=trouble.status)
            await fail(call, reply, self.writer, trouble)

    async def _whole(self, call: Call, model: ProviderModel, answer: dict, reply: Reply) -> None:
        call.count(answer.get("usage"))
        self._price(call, model)
        answer["model"] = call.asked
        for choice in answer.get("choices") or ():
            if isinstance(choice.get("message"), dict):
                choice["message"].setdefault("content", None)
        await call.settle(self.writer)
        await reply.start(200, JSON)
        await reply.end(dumps(answer))

    async def _stream(self, call: Call, model: ProviderModel, answer: Any, reply: Reply) -> None:
        chunks = 0
        try:
            async for piece in answer:
                call.first_byte()
                chunk = piece.model_dump(exclude_none=True)
                chunk["model"] = call.asked
                usage = chunk.get("usage")
                call.count(usage)
                if usage and not call.wants_usage:
                    del chunk["usage"]
                    if not any(c.get("finish_reason") or c.get("delta") for c in chunk.get("choices", ())):
                        continue
                chunks += 1
                if not reply.started:
                    await reply.start(200, EVENTS)
                await reply.write(to_event(chunk))
        except BaseException:
            call.count_chunks(chunks)
            self._price(call, model)
            raise
        self._price(call, model)
        if not reply.started:
            await reply.start(200, EVENTS)
        await finish(call, reply, self.writer, DONE)

    def _price(self, call: Call, model: ProviderModel) -> None:
        prompt, completion = call.prompt_tokens or 0, call.completion_tokens or 0
        call.cost_estimated = call.counted != "backend"
        if model.input_price is not None and model.output_price is not None:
            call.cost = (prompt * model.input_price + completion * model.output_price) / 1e6
            return
        try:
            costs = self.litellm.module.cost_per_token(
                model=model.litellm_model, prompt_tokens=prompt, completion_tokens=completion
            )
            call.cost = sum(costs)
        except Exception:  # not in litellm's price map: the cost stays unknown
            call.cost = None


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
