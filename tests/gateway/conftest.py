"""One gateway for the tests that don't kill it; each test brings its own deployments and backends."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import openai
import pytest

from gateway import usage
from lifecycle.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.world import Gateway, Ledger, configure, new_key
from tests.waiting import until


@dataclass
class World:
    folder: Path
    settings: Settings
    ledger: Ledger
    gateway: Gateway
    numbers: Iterator[int] = field(default_factory=count)
    backends: list[Backend] = field(default_factory=list)

    def backend(self, model: str, engine: str = "vllm", **more: object) -> Backend:
        backend = Backend(model, engine, **more).start()
        self.backends.append(backend)
        return backend

    def model(self, *backends: Backend, state: str = "STABLE", engine: str = "vllm") -> str:
        """A deployment with these servers, taken over by the gateway; the model's id."""
        n = next(self.numbers)
        name = f"org/model-{n}"
        self.ledger.deploy(f"d{n}", name, state)
        for backend in backends:
            self.ledger.serve(f"d{n}", backend.url, backend.model, engine)
        self.settle()
        return name

    def settle(self) -> None:
        generation = self.ledger.generation
        until(lambda: any(x["generation"] >= generation for x in self.gateway.said("routing")), 5, "the new routing")

    def client(self, *tags: str) -> openai.OpenAI:
        return self.gateway.client(new_key(self.settings, *(tags or ("stable",))))

    def rows(self, model: str) -> list[dict]:
        return [row for row in usage.rows(self.settings.gateway_path) if row["model"] == model]


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("gateway")
    settings = configure(folder, providers=True)
    (folder / "providers.toml").write_text("")
    ledger = Ledger(settings.ledger_path)
    gateway = Gateway(folder, {"LAB_KEY": "sk-lab-secret"})
    yield World(folder, settings, ledger, gateway)
    gateway.stop()
    ledger.close()


@pytest.fixture
def world(running: World) -> Iterator[World]:
    yield running
    while running.backends:
        running.backends.pop().stop()
