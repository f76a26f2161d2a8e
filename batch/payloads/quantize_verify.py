"""Is this folder a complete quantized copy of that one? By the safetensors headers of both. Standard library only."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

from lifecycle.errors import Refused

PACKED = "weight_packed"
NARROW = {"fp8": ("weight", "F8_E4M3"), "awq": (PACKED, "I32"), "gptq": (PACKED, "I32")}
"""Scheme → how a quantized weight's name ends, and its dtype: eight of four bits are packed into 32."""

LONGEST_HEADER = 100 * 2**20


def tensors(folder: Path) -> dict[str, str]:
    """name → dtype of every tensor in the folder's safetensors files. Refused for a file that is cut short."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= {name: entry["dtype"] for name, entry in _header(path).items()}
    return found


def _header(path: Path) -> Mapping[str, dict]:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size, LONGEST_HEADER):
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if 8 + length + end != size:
            raise ValueError(f"it should have {8 + length + end} bytes and has {size}")
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise Refused(f"{path.name} is not a whole safetensors file: {error}.", "Look at the job's log.") from None
    return header


def verify(source: Path, made: Path, scheme: str) -> dict[str, int]:
    """{"tensors", "quantized"} of the copy. Refused: which part of the original is missing, or nothing is quantized."""
    config = json.loads((made / "config.json").read_text()) if (made / "config.json").is_file() else {}
    method = (config.get("quantization_config") or {}).get("quant_method")
    if method != "compressed-tensors":
        raise Refused(f"config.json of the copy names {method!r} instead of compressed-tensors.", "Look at its log.")
    before, now = tensors(source), tensors(made)
    missing = [name for name in before if not _kept(name, now) and not _tied(name, config)]
    if missing:
        raise Refused(
            f"The copy lacks {len(missing)} of the model's {len(before)} tensors, such as {missing[0]}.",
            "llm-compressor does not know this architecture; look for an official quantized copy.",
        )
    ending, narrow_dtype = NARROW[scheme]
    narrow = sum(name.endswith(f".{ending}") and dtype == narrow_dtype for name, dtype in now.items())
    if not narrow:
        raise Refused("Nothing in the copy is quantized.", "Look at its log: no layer matched the recipe.")
    return {"tensors": len(now), "quantized": narrow}


def _kept(name: str, now: Mapping[str, str]) -> bool:
    return name in now or name.removesuffix("weight") + PACKED in now


def _tied(name: str, config: Mapping) -> bool:
    """The head of a model whose head is its embedding is written once."""
    return "lm_head" in name and bool(config.get("tie_word_embeddings"))
