"""What one key may call, under which names: its tags, its own names for models, and the models it is bound to."""

from gateway.auth.key import Key
from gateway.providers import ProviderModel, Providers
from gateway.routing import Served, Table


def own(table: Table, key: Key, name: str) -> tuple[Served, ...]:
    """The deployments of ours that may answer this key under that name; empty: it sees no such name."""
    found = table.find(key.meant(name), key.tags)
    if key.models or key.team_models:
        return tuple(one for one in found if key.may_call(one.model))
    return found


def foreign(providers: Providers, key: Key, name: str) -> ProviderModel | None:
    model = providers.find(key.meant(name), key.tags)
    return model if model is not None and key.may_call(model.name) else None


def own_names(table: Table, key: Key) -> dict[str, tuple[Served, ...]]:
    """Every name of ours that the key may use: models, tags and other aliases, its own names last."""
    names = [*table.models(key.tags), *table.aliases(key.tags), *key.model_map]
    found = {name: own(table, key, name) for name in names}
    return {name: them for name, them in found.items() if them}


def foreign_names(providers: Providers, key: Key) -> dict[str, ProviderModel]:
    names = [*(model.name for model in providers.visible(key.tags)), *key.model_map]
    found = {name: foreign(providers, key, name) for name in names}
    return {name: model for name, model in found.items() if model is not None}
