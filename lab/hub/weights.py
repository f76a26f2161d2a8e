"""How many parameters a repository has, read from the headers of its safetensors files (never from their tensors)."""

import json
import struct
from collections import Counter
from collections.abc import Callable, Collection
from math import prod
from pathlib import Path

HEADER_LIMIT = 100 * 1024 * 1024
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


def header(file: Path) -> dict[str, dict]:
    """Tensor name → {dtype, shape, data_offsets}; ValueError when the file is no safetensors file."""
    with file.open("rb") as stream:
        start = stream.read(8)
        if len(start) < 8:
            raise ValueError(f"{file.name} is too short for a safetensors file")
        (length,) = struct.unpack("<Q", start)
        if length > HEADER_LIMIT:
            raise ValueError(f"{file.name} claims a header of {length} bytes")
        tensors = json.loads(stream.read(length))
    if not isinstance(tensors, dict):
        raise ValueError(f"the header of {file.name} is no object")
    tensors.pop("__metadata__", None)
    return tensors


def shards(paths: Collection[str], read: Callable[[str], bytes]) -> list[str]:
    """The weight files that make up the model: one, or those its index names."""
    if INDEX in paths:
        named = json.loads(read(INDEX)).get("weight_map", {})
        return sorted(path for path in set(named.values()) if path in paths)
    return [SINGLE] if SINGLE in paths else []


def parameter_totals(files: Collection[Path]) -> dict[str, object] | None:
    """{"parameters": {dtype: count}, "total": count} as the Hub shows it; None without readable weights."""
    counts: Counter[str] = Counter()
    for file in files:
        for tensor in header(file).values():
            counts[tensor["dtype"]] += prod(tensor["shape"])
    return {"parameters": dict(counts), "total": sum(counts.values())} if counts else None
