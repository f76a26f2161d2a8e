"""What may be spent on proprietary models: by a model and a provider as the providers file says, by keys and teams."""

from functools import partial

from gateway.auth.limiter import Limiter
from gateway.auth.limits import Limits
from gateway.auth.refusal import Short
from gateway.auth.subjects import Subject
from gateway.call import Call
from gateway.providers import ProviderModel, Providers
from gateway.router import LiteLLM


class Spending:
    def __init__(self, limiter: Limiter, providers: Providers, litellm: LiteLLM):
        self._limiter = limiter
        self._providers = providers
        self._litellm = litellm

    async def check(self, call: Call, model: ProviderModel) -> None:
        """Before the provider is asked; the dearest answer is reserved until the true cost is known. ApiError(429)."""
        whole = self._providers.limits.get(model.provider)
        wanted = [("model", model.name, Limits(cost_per_day=model.spend_per_day))]
        if whole is not None:
            limits = Limits(cost_per_day=whole.spend_per_day, cost_per_month=whole.spend_per_month)
            wanted.append(("provider", model.provider, limits))
        subjects = tuple(Subject.of(*one) for one in wanted if one[2])
        spend = partial(self._limiter.spend, call, subjects, partial(self._price, model))
        try:
            spend()
        except Short as short:  # other hosts may give some of their share
            await self._limiter.later(call, short, spend)

    def _price(self, model: ProviderModel, asked: int, answered: int) -> float:
        """0 when nobody knows it before."""
        if model.priced:
            return model.price(asked, answered, 0)
        try:
            price = self._litellm.module.cost_per_token
            return sum(price(model=model.litellm_model, prompt_tokens=asked, completion_tokens=answered))
        except Exception:  # not in litellm's price map, or litellm is still being imported
            return 0.0
