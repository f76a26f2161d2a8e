"""The real LiteLLM Router agrees with the ledger and with what we learn about endpoints."""

import asyncio
import warnings
from pathlib import Path

from gateway.providers import Providers
from gateway.replicas import Replica
from gateway.router import LiteLLM
from gateway.routing import Endpoint, Served, Table

E1 = Endpoint(1, "http://127.0.0.1:1", "/w", "vllm", 0.0)
E2 = Endpoint(2, "http://127.0.0.1:2", "/w", "vllm", 0.0)


def table(*endpoints: Endpoint) -> Table:
    return Table.of(1, [Served("d1", "org/m", "abc", "stable", 0.0, 1.0, 8, endpoints)])


async def healthy(litellm: LiteLLM) -> set[str]:
    router = await litellm.router()
    found, _ = await router._async_get_healthy_deployments("d1", None)
    return {one["model_info"]["id"] for one in found}


def test_the_router_follows_the_table_and_knows_who_is_down(tmp_path: Path) -> None:
    """Endpoints and providers appear and vanish in it; one that is down is in its cooldown until it is back."""
    file = tmp_path / "providers.toml"
    file.write_text('[[models]]\nname = "judge"\nlitellm_model = "openai/judge"\ntags = ["stable"]\n')

    async def story() -> None:
        litellm, providers = LiteLLM(), Providers(file, {})
        litellm.sync(table(E1), providers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            litellm.load()
            router = await asyncio.wait_for(litellm.router(), 60)
        assert set(router.get_model_ids()) == {"endpoint-1", "provider-judge"}
        litellm.sync(table(E1, E2), providers)
        assert await healthy(litellm) == {"endpoint-1", "endpoint-2"}
        replica = Replica(E2)
        replica.healthy = False
        litellm.note(replica)
        assert await healthy(litellm) == {"endpoint-1"}
        replica.healthy = True
        litellm.note(replica)
        assert await healthy(litellm) == {"endpoint-1", "endpoint-2"}
        file.write_text("")
        assert providers.look()
        litellm.sync(table(E2), providers)
        assert set(router.get_model_ids()) == {"endpoint-2"}

    asyncio.run(story())
