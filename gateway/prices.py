"""What a call to a proprietary model has cost: by the providers file's own prices, else by litellm's price map."""

from typing import Any

from gateway.call import Call
from gateway.providers import ProviderModel


def price(call: Call, model: ProviderModel, litellm: Any) -> None:
    """Gives the call its cost, out of its tokens; None where nobody knows. `litellm`: the module, or None."""
    prompt, completion = call.prompt_tokens or 0, call.completion_tokens or 0
    cached, written = call.cached_tokens or 0, call.written_tokens or 0
    call.cost_estimated = call.counted != "backend"
    if model.priced:
        call.cost = model.price(prompt, completion, cached, written)
        return
    if not call.counted or litellm is None:
        return
    try:
        costs = litellm.cost_per_token(
            model=model.litellm_model,
            prompt_tokens=prompt,
            completion_tokens=completion,
            cache_read_input_tokens=cached,
            cache_creation_input_tokens=written,
        )
        call.cost = sum(costs)
    except Exception:  # not in litellm's price map: the cost stays unknown
        call.cost = None
