"""What the Hub works out by reading a commit's small files: the card, the config it shows, tags, parameter totals."""

import json
from dataclasses import dataclass

import yaml

from lab.hub.commits import Commit
from lab.hub.meta import Meta
from lab.hub.store import Store
from lab.hub.weights import parameter_totals, shards

SHOWN_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token", "chat_template", "use_default_system_prompt")
RELATIONS = ("quantized", "finetune", "adapter", "merge")


@dataclass(frozen=True)
class Derived:
    """Ready to be shown; `card` is the front matter of README.md with what .hub.json adds."""

    card: dict[str, object]
    config: dict[str, object]
    safetensors: dict[str, object] | None
    pipeline_tag: str | None
    library_name: str | None
    tags: tuple[str, ...]
    base_models: dict[str, object] | None


def derive(store: Store, commit: Commit, meta: Meta) -> Derived:
    """Files nobody can parse count as absent, as they do on the Hub."""
    card = _card(store.read(commit, "README.md") or b"")
    card.update(meta.card_data)
    for name in ("license", "base_model", "base_model_relation", "pipeline_tag", "library_name"):
        if (value := getattr(meta, name)) is not None:
            card[name] = value
    config = meta.config if meta.config is not None else _config(store, commit)
    totals = meta.safetensors if meta.safetensors is not None else _totals(store, commit)
    architectures = config.get("architectures") or []
    pipeline = card.get("pipeline_tag") or ("text-generation" if _causal(architectures) else None)
    library = card.get("library_name") or ("transformers" if config else None)
    return Derived(card, config, totals, pipeline, library, _tags(card, config, commit, pipeline, library, meta),
                   _base_models(card))  # fmt: skip


def _json(store: Store, commit: Commit, path: str) -> dict[str, object]:
    try:
        data = json.loads(store.read(commit, path) or b"{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _card(readme: bytes) -> dict[str, object]:
    text = readme.decode(errors="replace")
    if not text.startswith("---\n"):
        return {}
    front, end, _ = text[4:].partition("\n---")
    try:
        data = yaml.safe_load(front) if end else None
    except yaml.YAMLError:
        return {}
    return json.loads(json.dumps(data, default=str)) if isinstance(data, dict) else {}


def _config(store: Store, commit: Commit) -> dict[str, object]:
    """The few keys of config.json and tokenizer_config.json that the Hub shows; {} without a config.json."""
    full = _json(store, commit, "config.json")
    shown = {key: full[key] for key in ("architectures", "model_type", "auto_map") if key in full}
    quantization = full.get("quantization_config")
    if isinstance(quantization, dict):
        shown["quantization_config"] = {k: quantization[k] for k in ("quant_method", "bits") if k in quantization}
    tokenizer = _json(store, commit, "tokenizer_config.json")
    if tokens := {key: tokenizer[key] for key in SHOWN_TOKENS if key in tokenizer}:
        shown["tokenizer_config"] = tokens
    if template := store.read(commit, "chat_template.jinja"):
        shown["chat_template_jinja"] = template.decode(errors="replace")
    return shown


def _totals(store: Store, commit: Commit) -> dict[str, object] | None:
    try:
        paths = shards(commit.files, lambda path: store.read(commit, path) or b"{}")
        files = [store.blob(commit.files[path], path) for path in paths]
        return parameter_totals([file for file in files if file])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _causal(architectures: object) -> bool:
    return isinstance(architectures, list) and any(str(name).endswith("ForCausalLM") for name in architectures)


def _many(value: object) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value])] if value else []


def _relation(card: dict[str, object]) -> str:
    relation = card.get("base_model_relation")
    return str(relation) if relation in RELATIONS else "finetune"


def _base_models(card: dict[str, object]) -> dict[str, object] | None:
    names = _many(card.get("base_model"))
    return {"relation": _relation(card), "models": [{"id": name} for name in names]} if names else None


def _tags(
    card: dict[str, object], config: dict[str, object], commit: Commit, pipeline: object, library: object, meta: Meta
) -> tuple[str, ...]:
    tags = [str(library)] if library else []
    tags += ["safetensors"] if any(path.endswith(".safetensors") for path in commit.files) else []
    tags += ["gguf"] if any(path.endswith(".gguf") for path in commit.files) else []
    tags += _many(config.get("model_type")) + _many(pipeline) + _many(card.get("tags"))
    tags += ["custom_code"] if "auto_map" in config else []
    tags += _many((config.get("quantization_config") or {}).get("quant_method"))
    tags += _many(card.get("language"))
    for name in _many(card.get("base_model")):
        tags += [f"base_model:{name}", f"base_model:{_relation(card)}:{name}"]
    tags += [f"license:{name}" for name in _many(card.get("license"))]
    return tuple(dict.fromkeys([*tags, *meta.tags, "region:us"]))
