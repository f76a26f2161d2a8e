"""Nonsense in every shape, drawn from the gateway's own OpenAPI: each request gets an answer that it describes."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway import openapi
from gateway.app import BELOW, ROUTES
from gateway.ways import WAYS
from tests.gateway.conftest import World
from tests.gateway.world import new_key

CASES = [
    (path, method, mode)
    for path, methods in openapi.document()["paths"].items()
    for method in methods
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or method == "post"  # there is nothing wrong to be had in a GET
]
EXAMPLES = 12
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def schema():
    return schemathesis.openapi.from_dict(openapi.document())


def test_the_document_names_what_there_is() -> None:
    """Every way of a call, and every address that answers to programs."""
    paths = set(openapi.document()["paths"])
    assert set(WAYS) <= paths
    assert {path for path in paths - set(WAYS) if "{" not in path} <= set(ROUTES)
    assert any("/v1/models/{name}".startswith(prefix) for prefix in BELOW)


@pytest.mark.parametrize(("path", "method", "mode"), CASES, ids=lambda part: getattr(part, "value", part))
def test_what_the_document_says_is_what_happens(world: World, schema, path: str, method: str, mode) -> None:
    """Valid and invalid requests, half of them to a model that exists: no crash, no status that isn't told."""
    backend = world.backend("/weights/x")
    model = world.model(backend)
    key = new_key(world.settings, "stable", "candidate")
    operation = schema[path][method.upper()]
    headers = {"authorization": f"Bearer {key}"}

    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def ask(case, real: bool) -> None:
        if real and isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = model
        case.call_and_validate(base_url=world.gateway.url, headers=headers, checks=CHECKS, timeout=30)

    ask()
    assert not world.gateway.said("request.crashed") and not world.gateway.said("door.crashed")
