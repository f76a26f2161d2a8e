"""What config.json says about a model, whoever wrote it. Pure.

The traps, each seen in a published model: native FP8 under torch_dtype bfloat16; quantization_config inside
text_config, or absent and only in hf_quant_config.json; `dtype` where `torch_dtype` used to be; Infinity in the JSON.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]

_TEXT_PARTS = ("text_config", "llm_config", "language_config", "thinker_config")


def parse_json(text: str | bytes) -> Any:
    """json.loads, with Infinity and NaN as None: they would not survive the way to a browser or to Slack."""
    return json.loads(text, parse_constant=lambda _: None)


def text_config(config: Config) -> Config:
    """The part that describes the language model: itself, or the nested part of a multimodal one."""
    for part in _TEXT_PARTS:
        inner = config.get(part)
        if isinstance(inner, Mapping) and inner:
            return text_config(inner) if part == "thinker_config" else inner
    return config


def architecture(config: Config) -> str | None:
    names = config.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else None


def needs_remote_code(config: Config) -> bool:
    return bool(config.get("auto_map") or text_config(config).get("auto_map"))


def context(config: Config) -> int | None:
    """The longest sequence in tokens, as the config claims it."""
    text = text_config(config)
    for key in ("max_position_embeddings", "max_seq_len", "n_positions", "seq_length", "max_sequence_length", "n_ctx"):
        for part in (text, config):
            if isinstance(part.get(key), int) and part[key] > 0:
                return part[key]
    return None


def quantization(config: Config, hf_quant: Config | None = None) -> str | None:
    """fp8, awq, gptq, mxfp4, compressed-tensors, nvfp4, ... as the engine would call it; None: not quantized."""
    scheme = _quantization_config(config)
    if scheme.get("quant_method"):
        method = str(scheme["quant_method"]).lower()
        if method == "modelopt" and scheme.get("quant_algo"):
            return str(scheme["quant_algo"]).lower()
        return method
    inner = (hf_quant or {}).get("quantization")
    if isinstance(inner, Mapping) and inner.get("quant_algo"):
        return str(inner["quant_algo"]).lower()
    return None


def dtype(config: Config, hf_quant: Config | None = None, stored: Mapping[str, int] | None = None) -> str | None:
    """What the weights are on the GPU: fp8, int4, mxfp4, bfloat16, ... `stored`: safetensors dtype → parameters."""
    method = quantization(config, hf_quant)
    if method is not None:
        return _quantized_dtype(method, _quantization_config(config))
    for part in (config, text_config(config)):
        for key in ("torch_dtype", "dtype"):
            if isinstance(part.get(key), str) and part[key] != "auto":
                return part[key].removeprefix("torch.")
    if stored:
        most = max(stored, key=lambda name: stored[name])
        return {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F8_E4M3": "fp8"}.get(most, most.lower())
    return None


def active_params(repo: str) -> int | None:
    """What the name claims: ...-30B-A3B has 3 billion active parameters. None when it claims nothing."""
    found = re.search(r"[-_]A(\d+(?:\.\d+)?)B(?![a-z])", repo, re.IGNORECASE)
    return int(float(found[1]) * 1e9) if found else None


def weight_block(config: Config) -> int | None:
    """Columns that share one scale: a tensor-parallel slice has to be a multiple of it. None: no such rule."""
    scheme = _quantization_config(config)
    block = scheme.get("weight_block_size")
    if isinstance(block, list) and block and isinstance(block[-1], int):
        return block[-1]
    size = scheme.get("group_size")
    if isinstance(size, int) and size > 0 and str(scheme.get("quant_method", "")).lower() in ("awq", "gptq"):
        return size
    return None


def _quantization_config(config: Config) -> Config:
    for part in (config, text_config(config)):
        for key in ("quantization_config", "compression_config"):
            if isinstance(part.get(key), Mapping) and part[key]:
                return part[key]
    return {}


def _quantized_dtype(method: str, scheme: Config) -> str:
    if method in ("awq", "gptq", "auto-round", "bitsandbytes"):
        return f"int{scheme.get('bits', 4)}"
    if method == "compressed-tensors":
        groups = scheme.get("config_groups")
        first = next(iter(groups.values()), {}) if isinstance(groups, Mapping) else {}
        weights = first.get("weights") or {}
        bits = weights.get("num_bits")
        kind = "fp" if weights.get("type") == "float" else "int"
        if "mxfp4" in str(scheme.get("format", "")):
            return "mxfp4"
        return f"{kind}{bits}" if bits else method
    return {"fbgemm_fp8": "fp8"}.get(method, method)
