"""What a key may call, in the shape of OpenAI's models list; what is ours to add stands in `dayzero`."""

from datetime import UTC, datetime

from gateway import visible
from gateway.auth.key import Key
from gateway.errors import unknown_model
from gateway.providers import ProviderModel, Providers
from gateway.replicas import Fleet
from gateway.routing import PREFERENCE, Served, Table


def callable_names(table: Table, providers: Providers, key: Key) -> list[str]:
    """Everything that this key can name."""
    return list(dict.fromkeys([*visible.own_names(table, key), *visible.foreign_names(providers, key)]))


def list_models(table: Table, providers: Providers, fleet: Fleet, key: Key) -> dict:
    entries = {name: _own(name, served, fleet) for name, served in visible.own_names(table, key).items()}
    for name, model in visible.foreign_names(providers, key).items():
        entries.setdefault(name, _proprietary(name, model, key))
    return {"object": "list", "data": list(entries.values())}


def find_model(table: Table, providers: Providers, fleet: Fleet, key: Key, name: str) -> dict:
    """One model by any name that it can be called by. ApiError(404) lists what can be."""
    if served := visible.own(table, key, name):
        return _own(name, served, fleet)
    if (model := visible.foreign(providers, key, name)) is not None:
        return _proprietary(name, model, key)
    raise unknown_model(name, callable_names(table, providers, key))


def anthropic_list(found: dict) -> dict:
    """The list in the shape of Anthropic's; it has one page."""
    models = [anthropic_model(model) for model in found["data"]]
    ends = {"first_id": models[0]["id"], "last_id": models[-1]["id"]} if models else {"first_id": None, "last_id": None}
    return {"data": models, "has_more": False, **ends}


def anthropic_model(model: dict) -> dict:
    created = datetime.fromtimestamp(model["created"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "model",
        "id": model["id"],
        "display_name": model["id"],
        "created_at": created,
        "dayzero": model["dayzero"],
    }


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


def _proprietary(name: str, model: ProviderModel, key: Key) -> dict:
    tag = next(tag for tag in PREFERENCE if tag in key.tags and tag in model.tags)
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": model.provider,
        "dayzero": {"tag": tag, "model": model.name, "provider": model.provider},
    }
