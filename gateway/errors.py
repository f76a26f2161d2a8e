"""What a caller gets when it doesn't work: the status, one plain sentence with the next step, in OpenAI's shape."""

import json


class ApiError(Exception):
    """`type` and `code` are OpenAI's words where it has one. `retry_after_s` becomes a Retry-After header."""

    def __init__(self, status: int, sentence: str, type: str, code: str, retry_after_s: int | None = None):
        super().__init__(sentence)
        self.status = status
        self.type = type
        self.code = code
        self.retry_after_s = retry_after_s

    def body(self) -> bytes:
        error = {"message": str(self), "type": self.type, "param": None, "code": self.code}
        return json.dumps({"error": error}).encode()

    def event(self) -> bytes:
        """As one server-sent event: for a stream that has already begun."""
        return b"data: " + self.body() + b"\n\n"


def bad_request(sentence: str, code: str = "invalid_request") -> ApiError:
    return ApiError(400, sentence, "invalid_request_error", code)


def wrong_key() -> ApiError:
    sentence = (
        "This API key is missing, wrong, expired or revoked. Send `Authorization: Bearer dz-…`; "
        "new keys come from `dayzero keys create`."
    )
    return ApiError(401, sentence, "authentication_error", "invalid_api_key")


def unknown_model(name: str, callable_names: list[str]) -> ApiError:
    names = ", ".join(callable_names) or "nothing yet; ask for a key with another tag, or wait until a model is served"
    shown = name if len(name) <= 200 else name[:200] + "…"
    sentence = f"Your key can't call a model named {shown!r}. It can call: {names}."
    return ApiError(404, sentence, "invalid_request_error", "model_not_found")


def no_endpoint(name: str, why: str = "") -> ApiError:
    sentence = f"No server of {name} answers at the moment{f' ({why})' if why else ''}. Try again in a few seconds."
    return ApiError(503, sentence, "server_error", "no_healthy_endpoint", retry_after_s=5)


def backend_trouble(sentence: str) -> ApiError:
    return ApiError(502, sentence, "server_error", "backend_error")


def too_slow(sentence: str) -> ApiError:
    return ApiError(504, sentence, "server_error", "backend_timeout")


def not_accounted() -> ApiError:
    sentence = "The gateway can't write its ledger, so it gives no answers. Tell its operator; try again later."
    return ApiError(503, sentence, "server_error", "ledger_unavailable", retry_after_s=30)
