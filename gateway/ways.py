"""Which address takes which kind of call: made of `dialects.kinds`, the one table; a new kind is a row there."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway import call as calls
from gateway.auth.key import Key
from gateway.call import Call
from gateway.dialect import Dialect
from gateway.dialects import multipart
from gateway.dialects.kinds import COUNT, KINDS, MESSAGES, OTHER_PATHS, TRANSCRIBE, TRANSLATE
from gateway.errors import bad_request
from gateway.request import Request


def parse_json(way: "Way", caller: Key, request: Request) -> Call:
    """A call whose body is a JSON object. ApiError(400) says what is wrong with it."""
    trace = request.headers.get(b"traceparent", b"").decode("latin-1")
    return calls.parse(way.kind, caller, request.body, KINDS[way.kind].check, trace)


def parse_anthropic(way: "Way", caller: Key, request: Request) -> Call:
    """The same, with what Anthropic's clients say in headers."""
    call = parse_json(way, caller, request)
    call.said = {name: request.headers[name] for name in ANTHROPIC_SAYS if name in request.headers}
    return call


def parse_form(way: "Way", caller: Key, request: Request) -> Call:
    """A call whose body is a form with a file in it."""
    content_type = request.headers.get(b"content-type", b"").decode("latin-1")
    form = bytes(request.body)
    body = multipart.fields(form, content_type)
    if not body.get("model"):
        raise bad_request("The request names no model. Set `model` to one that GET /v1/models lists.")
    KINDS[way.kind].check(body)
    trace = request.headers.get(b"traceparent", b"").decode("latin-1")
    stream = body.get("stream", "").lower() == "true"
    return Call(way.kind, caller, body["model"], body, stream, True, trace, form=form, form_type=content_type)


@dataclass(frozen=True)
class Way:
    """`path` is ours, with POST; `parse` makes a call of a request whose head was admitted, or raises ApiError."""

    path: str
    kind: str
    dialect: Dialect
    parse: Callable[["Way", Key, Request], Call] = parse_json


ANTHROPIC_SAYS = (b"anthropic-version", b"anthropic-beta")
FORMS = (TRANSCRIBE, TRANSLATE)
PARSERS = dict.fromkeys((MESSAGES, COUNT), parse_anthropic) | dict.fromkeys(FORMS, parse_form)
PATHS = {kind.path: kind.name for kind in KINDS.values()} | OTHER_PATHS
WAYS = {
    path: Way(path, name, KINDS[name].dialect, PARSERS.get(name, parse_json))
    for path, name in PATHS.items()
}
