"""Which wire a call takes to an endpoint."""

from gateway.call import Call
from gateway.dialects.kinds import KINDS
from gateway.dialects.translated import TranslatedWire
from gateway.errors import bad_request
from gateway.transformers_wire import TransformersWire
from gateway.wire import Wire

CHAT_PATH = KINDS["chat"].path


def wire_for(call: Call, engine: str, backend_model: str) -> tuple[Wire, str]:
    """The wire, and the path at the backend. ApiError(400): that engine can't do this at all."""
    kind = KINDS[call.kind]
    native = kind.transformers if engine == "transformers" else kind.wire
    if native is not None:
        return native(call, backend_model), kind.path
    if kind.translation is None:
        sentence = f"This model's engine can't do {kind.what}. Call another model for it."
        raise bad_request(sentence, "unsupported")
    return TranslatedWire(call, backend_model, TransformersWire, kind.translation), CHAT_PATH
