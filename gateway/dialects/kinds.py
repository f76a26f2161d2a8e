"""Every kind of call that the gateway takes: one row each. A new dialect is a file here and a row."""

from collections.abc import Callable
from typing import Any

from gateway.call import CHAT, TEXT
from gateway.dialects import messages, responses
from gateway.dialects.kind import Kind
from gateway.dialects.messages_answer import Messages
from gateway.dialects.native import BytesWire, CountWire, FormWire, JsonWire, MessagesWire, ResponsesWire
from gateway.dialects.responses_answer import Responses
from gateway.dialects.troubles import ANTHROPIC, RESPONSES
from gateway.errors import bad_request
from gateway.transformers_wire import TransformersWire
from gateway.wire import OpenAIWire

MESSAGES, COUNT, RESPONSE = "messages", "count", "responses"
EMBED, RANK, SCORE = "embeddings", "rerank", "score"
TRANSCRIBE, TRANSLATE, SPEAK, PAINT = "transcription", "translation", "speech", "images"

Body = dict[str, Any]


def _chat(body: Body) -> None:
    said = body.get("messages")
    if not (isinstance(said, list) and said and all(isinstance(m, dict) for m in said)):
        raise bad_request('`messages` must be a list like [{"role": "user", "content": "…"}].')


def _text(body: Body) -> None:
    if not body.get("prompt"):
        raise bad_request("The request has no `prompt`. Say what is to be completed.")


def _needs(*names: str) -> Callable[[Body], None]:
    def check(body: Body) -> None:
        missing = [name for name in names if body.get(name) in (None, "", [])]
        if missing:
            raise bad_request(f"The request has no `{missing[0]}`. Set it as the API's reference says.")
        if body.get("stream") is True:
            raise bad_request("This kind of call has one answer. Leave out `stream`.")

    return check


def _form(body: Body) -> None:
    if "file" not in body:
        raise bad_request("The form has no `file`. Send the sound as a file named `file`.")


KINDS = {
    kind.name: kind
    for kind in (
        Kind(CHAT, "/v1/chat/completions", "chat", _chat, OpenAIWire, TransformersWire),
        Kind(TEXT, "/v1/completions", "plain completions", _text, OpenAIWire, TransformersWire),
        Kind(RESPONSE, "/v1/responses", "responses", responses.check, ResponsesWire, None, Responses(), RESPONSES),
        Kind(MESSAGES, "/v1/messages", "messages", messages.check, MessagesWire, None, Messages(), ANTHROPIC),
        Kind(COUNT, "/v1/messages/count_tokens", "counting tokens", messages.check_count, CountWire, dialect=ANTHROPIC),
        Kind(EMBED, "/v1/embeddings", "embeddings", _needs("input"), JsonWire),
        Kind(RANK, "/v1/rerank", "ranking", _needs("query", "documents"), JsonWire),
        Kind(SCORE, "/v1/score", "scoring", _needs(), JsonWire),
        Kind(TRANSCRIBE, "/v1/audio/transcriptions", "transcriptions", _form, FormWire, FormWire),
        Kind(TRANSLATE, "/v1/audio/translations", "translations of sound", _form, FormWire),
        Kind(SPEAK, "/v1/audio/speech", "speech", _needs("input"), BytesWire),
        Kind(PAINT, "/v1/images/generations", "images", _needs("prompt"), JsonWire),
    )
}
OTHER_PATHS = {"/rerank": RANK, "/v2/rerank": RANK, "/score": SCORE}
"""Under which Cohere's and Jina's clients look for it."""
