"""What each client asks of each backend, feature by feature. A probe returns when the feature works, raises the
client's own error when it is refused, and AssertionError when it is silently missing."""

from collections.abc import Callable

import anthropic
import httpx
import openai

from tests.gateway.clients import chat, claude, responses, shell
from tests.gateway.clients.place import Place

PROBES: dict[str, dict[str, Callable[[Place], None]]] = {
    "openai, chat": {
        "answer": chat.answer,
        "streaming": chat.stream,
        "tools": chat.tools,
        "JSON schema": chat.schema,
        "images": chat.images,
        "logprobs": chat.logprobs,
        "n": chat.n,
        "stop": chat.stop,
        "seed": chat.seed,
        "reasoning": chat.reasoning,
        "usage in the stream": chat.usage,
        "cancellation": chat.cancel,
        "errors": chat.errors,
    },
    "openai, responses": {
        "answer": responses.answer,
        "streaming": responses.stream,
        "tools": responses.tools,
        "JSON schema": responses.schema,
        "images": responses.images,
        "logprobs": responses.logprobs,
        "usage in the stream": responses.usage,
        "cancellation": responses.cancel,
        "errors": responses.errors,
    },
    "anthropic": {
        "answer": claude.answer,
        "streaming": claude.stream,
        "tools": claude.tools,
        "JSON schema": claude.schema,
        "images": claude.images,
        "stop": claude.stop,
        "reasoning": claude.reasoning,
        "signed thoughts": claude.signatures,
        "prompt caching": claude.caching,
        "usage in the stream": claude.usage,
        "cancellation": claude.cancel,
        "errors": claude.errors,
        "counting tokens": claude.count,
    },
    "llm": {
        "answer": shell.llm_answer,
        "streaming": shell.llm_stream,
        "JSON schema": shell.llm_schema,
        "seed": shell.llm_seed,
    },
    "Inspect": {"answer": shell.inspect_answer},
    "curl": {"answer": shell.curl_answer, "streaming": shell.curl_stream, "errors": shell.curl_errors},
}

LEARNED = (chat.reasoning, claude.reasoning, claude.signatures, responses.tools, claude.tools)
LEAVING = (chat.cancel, responses.cancel, claude.cancel)
REFUSED = (openai.BadRequestError, anthropic.BadRequestError, shell.Refused)


def outcome(probe: Callable[[Place], None], place: Place) -> tuple[str, str]:
    """(the cell in the table, why)"""
    if probe is shell.inspect_answer and not shell.TOOLS.exists():
        return "", "no tools environment: make setup"
    if (probe in LEARNED and not place.learned) or (probe in LEAVING and place.leaving is None):
        return "–", "this can't be seen here"
    try:
        probe(place)
    except REFUSED as error:
        return "refused", str(error)
    except (AssertionError, openai.APIError, anthropic.APIError, httpx.HTTPError, KeyError, TypeError, ValueError,
            AttributeError, IndexError) as error:  # fmt: skip
        return "no", f"{type(error).__name__}: {error}"
    return "yes", ""
