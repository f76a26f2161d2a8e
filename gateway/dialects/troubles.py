"""How trouble looks in the dialects that are not OpenAI's chat: the same sentence and status, another shape."""

import json

from gateway.dialect import Dialect
from gateway.errors import ApiError

ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def _anthropic_body(error: ApiError) -> bytes:
    kind = ANTHROPIC_TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    return json.dumps({"type": "error", "error": {"type": kind, "message": str(error)}}).encode()


def _anthropic_event(error: ApiError) -> bytes:
    return b"event: error\ndata: " + _anthropic_body(error) + b"\n\n"


def _responses_event(error: ApiError) -> bytes:
    # the reference has these fields flat, the service sends them nested, and SDKs look for the one or the other
    said = {"type": error.type, "code": error.code, "message": str(error), "param": None}
    return b"event: error\ndata: " + json.dumps({**said, "type": "error", "error": said}).encode() + b"\n\n"


ANTHROPIC = Dialect("anthropic", _anthropic_body, _anthropic_event)
RESPONSES = Dialect("responses", ApiError.body, _responses_event)
