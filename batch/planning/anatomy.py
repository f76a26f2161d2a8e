"""The sizes that matter for serving, read out of config.json whatever names its author gave them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch.facts_config import text_config, weight_block
from lifecycle.errors import Refused

KV_BYTES = 2  # keys and values are kept in 16 bits, whatever the weights are


@dataclass(frozen=True)
class KvLayers:
    """Layers that remember alike. `width`: bytes of one token in one layer and one head (K and V together)."""

    layers: int
    heads: int
    width: int
    window: int | None = None  # tokens remembered at most; None: all
    replicated: bool = False  # every tensor-parallel rank keeps a whole copy (MLA)

    def bytes_per_rank(self, tokens: int, tensor_parallel: int) -> int:
        """Bytes for one sequence of `tokens` on one rank, all `layers`."""
        kept = min(tokens, self.window) if self.window else tokens
        heads = self.heads if self.replicated else max(1, -(-self.heads // tensor_parallel))
        return self.layers * heads * self.width * kept


@dataclass(frozen=True)
class Anatomy:
    layers: int
    heads: int
    kv_heads: int  # 0: a latent cache without heads (MLA)
    hidden: int
    vocab: int
    tied: bool
    kv: tuple[KvLayers, ...]
    slices: tuple[int, ...] = ()  # widths that tensor parallelism cuts; each slice must be a multiple of `block`
    block: int | None = None
    experts: int = 0  # routed ones, of each layer that has them
    expert_slices: tuple[int, ...] = ()  # as `slices`, of the experts: expert parallelism leaves these whole
    expert_share: float = 0.0  # of the weights, estimated low: what is not experts is copied by data parallelism

    def kv_bytes(self, tokens: int, tensor_parallel: int = 1) -> int:
        """Memory of one sequence on one rank that holds all layers."""
        return sum(group.bytes_per_rank(tokens, tensor_parallel) for group in self.kv)


def anatomy(config: Mapping[str, Any]) -> Anatomy:
    """Raises Refused, naming what config.json doesn't say, rather than guess."""
    text = text_config(config)
    attention = text.get("attn_config") if isinstance(text.get("attn_config"), Mapping) else {}
    kinds = _layer_kinds(text)
    layers = _number(text, "num_hidden_layers", "n_layers", "num_layers", "n_layer") or len(kinds or ())
    heads = _number(text, "num_attention_heads", "n_heads", "num_heads", "n_head")
    hidden = _number(text, "hidden_size", "d_model", "dim", "n_embd")
    lacking = [name for name, n in (("layers", layers), ("attention heads", heads), ("hidden size", hidden)) if not n]
    if lacking:
        raise Refused(
            f"config.json doesn't say the number of {' and '.join(lacking)}, so the model can't be sized.",
            "Give the number of nodes and GPUs by hand once the planner knows this kind of config.",
        )
    assert layers and heads and hidden
    kv_heads = (
        _number(text, "num_key_value_heads", "num_kv_heads", "n_kv_heads", "n_head_kv")
        or _number(attention, "kv_n_heads")
        or (1 if text.get("multi_query") and not text.get("new_decoder_architecture") else heads)
    )
    kv = _kv_layers(text, kinds, layers, kv_heads, _number(text, "head_dim", "kv_channels") or hidden // heads)
    vocab = _number(text, "vocab_size") or 0
    mixture = _mixture(text, layers, hidden, heads, vocab)
    return Anatomy(
        layers=layers,
        heads=heads,
        kv_heads=0 if any(group.replicated for group in kv) else max((g.heads for g in kv), default=kv_heads),
        hidden=hidden,
        vocab=vocab,
        tied=bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", False))),
        kv=kv,
        slices=tuple(n for n in (_number(text, "intermediate_size"),) if n and n not in mixture.widths),
        block=weight_block(config),
        experts=mixture.experts,
        expert_slices=mixture.widths,
        expert_share=mixture.share,
    )


@dataclass(frozen=True)
class Mixture:
    """The experts of a mixture: how many in a layer, how wide, and what share of all weights they are."""

    experts: int = 0
    widths: tuple[int, ...] = ()
    share: float = 0.0


def _mixture(text: Mapping[str, Any], layers: int, hidden: int, heads: int, vocab: int) -> Mixture:
    """No experts: an empty one. Attention is counted generously, so that the share is rather too low."""
    inner = text.get("ffn_config") if isinstance(text.get("ffn_config"), Mapping) else {}
    experts = _number(text, *EXPERTS) or _number(inner, "moe_num_experts") or 0
    own = _number(text, "moe_intermediate_size")
    width = own or _number(inner, "ffn_hidden_size") or _number(text, "intermediate_size")
    if experts < 2 or not width:
        return Mixture(0, (own,) if own else ())
    dense = min(layers, _number(text, "first_k_dense_replace") or 0)
    every = _number(text, "decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq") or 1
    with_experts = max(1, (layers - dense) // every)
    routed = with_experts * experts * 3 * hidden * width
    shared = with_experts * (_number(text, "n_shared_experts") or 0) * 3 * hidden * width
    mlp = (layers - with_experts) * 3 * hidden * (_number(text, "intermediate_size") or 0)
    attention = layers * 4 * hidden * heads * (_number(text, "v_head_dim", "head_dim") or hidden // heads)
    return Mixture(experts, (width,), routed / (routed + shared + mlp + attention + 2 * vocab * hidden))


EXPERTS = ("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts")


def _kv_layers(
    text: Mapping[str, Any], kinds: list[str] | None, layers: int, kv_heads: int, head_dim: int
) -> tuple[KvLayers, ...]:
    rank, rope = _number(text, "kv_lora_rank"), _number(text, "qk_rope_head_dim") or 0
    if rank:
        full = kinds.count("full") if kinds else layers
        indexer = _number(text, "index_head_dim") or 0  # sparse attention keeps an index beside the latent
        return (KvLayers(full, 1, (rank + rope + indexer) * KV_BYTES, replicated=True),)
    if isinstance(blocks := text.get("block_configs"), list):
        return _of_blocks(blocks, kv_heads, _number(text, "num_attention_heads") or kv_heads, head_dim)
    window = _window(text)
    width = 2 * head_dim * KV_BYTES
    if not kinds:
        return (KvLayers(layers, kv_heads, width, window),)
    full_dim = _number(text, "global_head_dim") or head_dim
    full_heads = _number(text, "num_global_key_value_heads") or kv_heads
    groups = []
    if full := kinds.count("full"):
        groups.append(KvLayers(full, full_heads, 2 * full_dim * KV_BYTES))
    if windowed := kinds.count("window"):
        groups.append(KvLayers(windowed, kv_heads, width, window or _number(text, "attention_chunk_size")))
    return tuple(groups)


def _of_blocks(blocks: list[Any], kv_heads: int, heads: int, head_dim: int) -> tuple[KvLayers, ...]:
    """Layers pruned one by one (Nemotron): each says how many query heads share one KV head, or that it has none."""
    counts: dict[int, int] = {}
    for block in blocks:
        attention = block.get("attention", {}) if isinstance(block, Mapping) else {}
        if attention.get("no_op") or attention.get("replace_with_linear"):
            continue
        group = attention.get("n_heads_in_group")
        here = heads // group if group else kv_heads
        counts[here] = counts.get(here, 0) + 1
    return tuple(KvLayers(n, heads_here, 2 * head_dim * KV_BYTES) for heads_here, n in sorted(counts.items()))


def _window(text: Mapping[str, Any]) -> int | None:
    return None if text.get("use_sliding_window") is False else _number(text, "sliding_window")


def _layer_kinds(text: Mapping[str, Any]) -> list[str] | None:
    """'full', 'window' or 'none' (keeps no KV) for each layer; None: the config doesn't tell layers apart."""
    layers = _number(text, "num_hidden_layers") or 0
    if isinstance(types := text.get("layer_types") or text.get("layers_block_type"), list):
        known = {
            "full_attention": "full",
            "attention": "full",
            "sliding_attention": "window",
            "chunked_attention": "window",
        }
        kinds = [known.get(str(t), "none") for t in types]
        return kinds if text.get("use_sliding_window") is not False else ["full" if k == "window" else k for k in kinds]
    if isinstance(pattern := text.get("hybrid_override_pattern"), str):
        return ["full" if letter == "*" else "none" for letter in pattern]
    if isinstance(types := text.get("attn_type_list"), list):
        return ["full" if t == 1 else "none" for t in types]
    if isinstance(linear := text.get("linear_attn_config"), Mapping) and isinstance(
        linear.get("full_attn_layers"), list
    ):
        return ["full"] * len(linear["full_attn_layers"])
    if every := _number(text, "full_attention_interval"):
        return ["full" if (n + 1) % every == 0 else "none" for n in range(layers)]
    if period := _number(text, "attn_layer_period"):
        offset = _number(text, "attn_layer_offset") or 0
        return ["full" if n % period == offset else "none" for n in range(layers)]
    if every := _number(text, "sliding_window_pattern"):
        return ["full" if (n + 1) % every == 0 else "window" for n in range(layers)]
    if _number(text, "attention_chunk_size"):  # Llama 4: every fourth layer sees everything
        flags = text.get("no_rope_layers")
        if isinstance(flags, list) and len(flags) == layers:
            return ["window" if flag else "full" for flag in flags]
        return ["full" if (n + 1) % 4 == 0 else "window" for n in range(layers)]
    return None


def _number(part: Mapping[str, Any], *names: str) -> int | None:
    """The first of these keys that holds a positive whole number."""
    for name in names:
        value = part.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
