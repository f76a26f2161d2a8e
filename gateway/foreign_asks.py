"""What may be asked of a provider, and how litellm's Router is asked for it.

Only parameters of the public APIs go through: litellm takes others (api_base, api_key, mock_response …) that would let
a caller send the provider's key anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.call import CHAT, TEXT, Call
from gateway.dialects import multipart
from gateway.dialects.kinds import EMBED, PAINT, RANK, SPEAK, TRANSCRIBE
from gateway.wire import JSON, dumps

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


def plain(call: Call, names: str) -> dict[str, Any]:
    return {name: call.body[name] for name in names.split() if call.body.get(name) is not None}


def _embeddings(call: Call) -> dict[str, Any]:
    return plain(call, "input dimensions encoding_format user")


def _rank(call: Call) -> dict[str, Any]:
    return plain(call, "query documents top_n rank_fields return_documents max_chunks_per_doc")


def _images(call: Call) -> dict[str, Any]:
    return plain(call, "prompt n size quality style response_format user")


def _speech(call: Call) -> dict[str, Any]:
    return {"voice": "alloy"} | plain(call, "input voice response_format speed instructions")


def _transcription(call: Call) -> dict[str, Any]:
    sent = plain(call, "language prompt response_format temperature")
    return sent | {"file": multipart.file(call.form, call.form_type, "file")}


def _as_json(call: Call, answer: Any) -> tuple[bytes, bytes]:
    said = answer.model_dump(exclude_none=True)
    meta = said.get("meta") or {}
    call.count(said.get("usage") or (meta.get("tokens") if isinstance(meta, dict) else None))
    if "model" in said:
        said["model"] = call.asked
    return JSON, dumps(said)


def _as_sound(call: Call, answer: Any) -> tuple[bytes, bytes]:
    kind = getattr(getattr(answer, "response", None), "headers", {}).get("content-type", "audio/mpeg")
    return kind.encode("latin-1", "replace"), answer.content


def _as_words(call: Call, answer: Any) -> tuple[bytes, bytes]:
    said = answer.model_dump(exclude_none=True)
    call.count(said.get("usage"))
    if call.body.get("response_format") in ("text", "srt", "vtt"):
        return b"text/plain; charset=utf-8", str(said.get("text") or "").encode()
    return JSON, dumps({name: value for name, value in said.items() if not name.startswith("_")})


@dataclass(frozen=True)
class Ask:
    """`method` of the Router, `sent` makes its arguments, `put` the answer's content type and bytes."""

    method: str
    sent: Callable[[Call], dict[str, Any]]
    put: Callable[[Call, Any], tuple[bytes, bytes]]


ASKS = {
    EMBED: Ask("aembedding", _embeddings, _as_json),
    RANK: Ask("arerank", _rank, _as_json),
    PAINT: Ask("aimage_generation", _images, _as_json),
    SPEAK: Ask("aspeech", _speech, _as_sound),
    TRANSCRIBE: Ask("atranscription", _transcription, _as_words),
}
"""Whatever has one answer. Chats and what is translated into them stream, and have a way of their own."""
