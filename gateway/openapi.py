"""The gateway's own OpenAPI document, made of the table of ways: what it takes at which address, and what it answers.

It says what the gateway itself looks at; everything else of a request goes to the model's server as it came.
"""

from functools import cache
from typing import Any

from gateway.dialects import kinds
from gateway.dialects.kinds import KINDS
from gateway.ways import FORMS, WAYS

Schema = dict[str, Any]

ANY: Schema = {}
TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
YES_NO: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
COUNT: Schema = {"type": "integer", "minimum": 1}
MESSAGES: Schema = {"type": "array", "minItems": 1, "items": OBJECT}

SAMPLING = {"stream": YES_NO, "max_tokens": COUNT, "temperature": {"type": "number", "minimum": 0, "maximum": 2}}

BODIES: dict[str, tuple[dict[str, Schema], tuple[str, ...]]] = {
    kinds.CHAT: ({"messages": MESSAGES, "stream_options": OBJECT, **SAMPLING}, ("messages",)),
    kinds.TEXT: ({"prompt": NAME, "stream_options": OBJECT, **SAMPLING}, ("prompt",)),
    kinds.RESPONSE: ({"input": ANY, "stream": YES_NO, "max_output_tokens": COUNT}, ("input",)),
    kinds.MESSAGES: ({"messages": MESSAGES, **SAMPLING}, ("messages", "max_tokens")),
    kinds.COUNT: ({"messages": MESSAGES}, ("messages",)),
    kinds.EMBED: ({"input": ANY}, ("input",)),
    kinds.RANK: ({"query": NAME, "documents": {"type": "array", "minItems": 1}}, ("query", "documents")),
    kinds.SCORE: ({}, ()),
    kinds.SPEAK: ({"input": NAME, "voice": TEXT}, ("input",)),
    kinds.PAINT: ({"prompt": NAME}, ("prompt",)),
}
"""Kind → the fields of its body that the gateway knows, and those that must be there beside `model`."""

FILE: Schema = {"type": "string", "format": "binary"}

LOOKS = {
    "/v1/models": "What this key can call",
    "/v1/models/{name}": "One of them",
    "/v1/usage": "What this key has used",
    "/metrics": "For Prometheus; a key that may see candidates",
    "/healthz": "The process lives",
    "/readyz": "Calls can be answered and accounted for",
}
OPEN = ("/healthz", "/readyz")

ERRORS = {
    "400": "The request can't be understood, or the model refuses it",
    "401": "No key, or one that is wrong, expired or revoked",
    "402": "A budget is spent",
    "403": "The key may not do this",
    "404": "No such model for this key",
    "405": "Another method",
    "408": "The request came too slowly",
    "413": "Larger than the gateway takes",
    "422": "Refused by the model",
    "429": "A limit is reached, or the line is full: Retry-After says when to come back",
    "431": "Headers larger than the gateway takes",
    "502": "The model's server failed",
    "503": "No server of the model answers; Retry-After says when to come back",
    "504": "The model's server took too long",
}


@cache
def document() -> dict[str, Any]:
    """OpenAPI 3.1, as a JSON object."""
    paths: dict[str, Any] = {path: {"get": _look(path, what)} for path, what in LOOKS.items()}
    for path, way in WAYS.items():
        paths[path] = {"post": _call(way.kind)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "dayzero gateway", "version": "1", "description": "One address for every model."},
        "security": [{"bearer": []}, {"key": []}],
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "schemas": {"Error": {"type": "object", "required": ["error"], "properties": {"error": _error()}}},
        },
        "paths": paths,
    }


def _error() -> Schema:
    return {"type": "object", "required": ["message", "type"], "properties": {"message": NAME, "type": NAME}}


def _call(kind: str) -> dict[str, Any]:
    content: dict[str, Any] = {"*/*": {"schema": ANY}}
    return {
        "summary": KINDS[kind].what,
        "requestBody": {"required": True, "content": _body(kind)},
        "responses": {"200": {"description": "The model's answer", "content": content}, **_errors()},
    }


def _body(kind: str) -> dict[str, Any]:
    if kind in FORMS:
        properties = {"model": NAME, "file": FILE}
        return {"multipart/form-data": {"schema": _object(properties, ("model", "file"))}}
    properties, required = BODIES[kind]
    return {"application/json": {"schema": _object({"model": NAME, **properties}, ("model", *required))}}


def _object(properties: dict[str, Schema], required: tuple[str, ...]) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _look(path: str, what: str) -> dict[str, Any]:
    said = {"summary": what, "responses": {"200": {"description": what}, **_errors()}}
    if path.endswith("{name}"):
        said["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": NAME}]
    if path in OPEN:
        said["security"] = []
    return said


def _errors() -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {status: {"description": what, "content": {"application/json": schema}} for status, what in ERRORS.items()}
