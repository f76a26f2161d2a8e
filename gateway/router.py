"""The LiteLLM Router: knows the providers and our endpoints, cools down what fails, and calls the proprietary ones.

litellm takes seconds to import and hundreds of megabytes, so a thread imports it when the providers file names a first
model; our own servers are called without it.
The Router is a cache: `sync` makes it agree with the routing table and the providers file.
"""

import asyncio
import contextlib
import logging
import os
import threading
from typing import Any

from gateway.log import say
from gateway.providers import ProviderModel, Providers
from gateway.replicas import Replica
from gateway.routing import Table

COOL_S = 3600.0
"""How long the Router leaves out an endpoint of ours that failed: our probe brings it back long before."""


class LiteLLM:
    def __init__(self) -> None:
        self._loaded = asyncio.Event()
        self._loading = False
        self._module: Any = None
        self._router: Any = None
        self._wanted: dict[str, tuple] = {}
        self._registered: dict[str, tuple] = {}
        self.problem = ""

    def load(self) -> None:
        """Begin to import litellm in the background, once."""
        if self._loading:
            return
        self._loading = True
        loop = asyncio.get_running_loop()

        def work() -> None:
            try:
                module = _import()
            except Exception as error:  # whatever an import can raise: own models must go on
                self.problem = f"litellm can't be imported: {error}"
                say("litellm.failed", reason=self.problem)
                module = None
            with contextlib.suppress(RuntimeError):  # the gateway was stopped meanwhile
                loop.call_soon_threadsafe(self._take, module)

        threading.Thread(target=work, name="litellm-import", daemon=True).start()

    def _take(self, module: Any) -> None:
        self._module = module
        if module is not None:
            self._router = module.Router(model_list=[], num_retries=1, cooldown_time=5, timeout=600)
            self._apply()
            say("litellm.ready")
        self._loaded.set()

    async def router(self) -> Any:
        """The Router, once it is there; None when litellm can't be imported (`problem` says why)."""
        await self._loaded.wait()
        return self._router

    @property
    def module(self) -> Any:
        return self._module

    def sync(self, table: Table, providers: Providers) -> None:
        """Make the Router hold exactly these endpoints and providers; at once, or as soon as litellm is there."""
        wanted = {
            f"endpoint-{e.id}": (one.id, f"hosted_vllm/{e.backend_model}", f"{e.url.rstrip('/')}/v1", "none", None)
            for one in table.served
            for e in one.endpoints
        }
        for model in providers.models.values():
            wanted[f"provider-{model.name}"] = (
                group(model),
                model.litellm_model,
                model.api_base or None,
                providers.key(model) or None,
                model.max_parallel,
            )
        self._wanted = wanted
        if providers.models:
            self.load()
        if self._router is not None:
            self._apply()

    def _apply(self) -> None:
        from litellm.types.router import Deployment, LiteLLM_Params, ModelInfo

        for gone in set(self._registered) - set(self._wanted):
            self._router.delete_deployment(id=gone)
            del self._registered[gone]
        for id, wanted in self._wanted.items():
            if self._registered.get(id) == wanted:
                continue
            name, model, base, key, most = wanted
            params = LiteLLM_Params(model=model, api_base=base, api_key=key, max_parallel_requests=most)
            deployment = Deployment(model_name=name, litellm_params=params, model_info=ModelInfo(id=id))
            self._router.upsert_deployment(deployment)
            self._registered[id] = wanted

    def note(self, replica: Replica) -> None:
        """Tell the Router's cooldown what we learned about one of our endpoints."""
        if self._router is None:
            return
        id, cache = f"endpoint-{replica.endpoint.id}", self._router.cooldown_cache
        if replica.healthy:
            cache.cooldown_store.delete_cache(cache.get_cooldown_cache_key(id))
        else:
            cache.add_deployment_to_cooldown(id, ConnectionError(replica.reason), 503, COOL_S)


def group(model: ProviderModel) -> str:
    """The provider model's name in the Router: apart from our own models, so that the two never mix."""
    return f"provider:{model.name}"


def _import() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else the import waits for the network
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else it loads a .env file of the working directory
    import litellm
    import litellm.types.router

    litellm.telemetry = False
    litellm.drop_params = True
    litellm.user_url_validation = True  # some pictures it fetches itself: never from an address of our own network
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):  # they quote requests and keys
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return litellm
