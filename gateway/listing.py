"""What a key may call, in the shape of OpenAI's models list; what is ours to add stands in `dayzero`."""

from collections.abc import Collection

from gateway.errors import unknown_model
from gateway.providers import ProviderModel, Providers
from gateway.replicas import Fleet
from gateway.routing import PREFERENCE, Served, Table


def callable_names(table: Table, providers: Providers, tags: Collection[str]) -> list[str]:
    """Models, tags and providers' models that a key with these tags can name."""
    proprietary = [model.name for model in providers.visible(tags)]
    return list(dict.fromkeys([*table.models(tags), *table.aliases(tags), *proprietary]))


def list_models(table: Table, providers: Providers, fleet: Fleet, tags: Collection[str]) -> dict:
    entries = {name: _own(name, served, fleet) for name, served in table.models(tags).items()}
    for name, served in table.aliases(tags).items():
        entries[name] = _own(name, (served,), fleet)
    for model in providers.visible(tags):
        entries.setdefault(model.name, _proprietary(model, tags))
    return {"object": "list", "data": list(entries.values())}


def find_model(table: Table, providers: Providers, fleet: Fleet, tags: Collection[str], name: str) -> dict:
    """One model by any name that it can be called by. ApiError(404) lists what can be."""
    if served := table.find(name, tags):
        return _own(name, served, fleet)
    if (model := providers.find(name, tags)) is not None:
        return _proprietary(model, tags)
    raise unknown_model(name, callable_names(table, providers, tags))


def _own(name: str, served: tuple[Served, ...], fleet: Fleet) -> dict:
    newest = max(served, key=lambda one: one.tag_since)
    return {
        "id": name,
        "object": "model",
        "created": int(newest.tag_since),
        "owned_by": newest.model.partition("/")[0],
        "dayzero": {
            "tag": newest.tag,
            "model": newest.model,
            "revision": newest.revision,
            "deployments": [one.id for one in served],
            "servers": sum(fleet.healthy(one) for one in served),
        },
    }


def _proprietary(model: ProviderModel, tags: Collection[str]) -> dict:
    tag = next(tag for tag in PREFERENCE if tag in tags and tag in model.tags)
    return {
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": model.provider,
        "dayzero": {"tag": tag, "model": model.name, "provider": model.provider},
    }
