"""Which files of a repository are weights, which are needed, and which we don't want. Names only, nothing is read.

Standard library only: the caching job on a node asks the same questions.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

INDEX = "model.safetensors.index.json"
MANIFEST = "manifest.json"  # ours, beside the published weights

PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
FOREIGN_SUFFIXES = (".gguf", ".ggml", ".onnx", ".h5", ".msgpack", ".ot", ".tflite", ".npz", ".tar", ".zip", ".gz")
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors\Z")


@dataclass(frozen=True)
class WeightFiles:
    """`loaded`: what the engine reads. `missing`: named by the index or by a neighbour's numbering, and not there."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    pickle: bool = False  # `loaded` are pickle files: reading them runs code


def unsafe_path(path: str) -> bool:
    """A name that would leave the folder it is written to, or that no model needs: absolute, .., backslash, control."""
    if not path or path.startswith("/") or "\\" in path or any(ord(c) < 32 or ord(c) == 127 for c in path):
        return True
    return any(part in ("", ".", "..") for part in path.split("/"))


def is_pickle(path: str) -> bool:
    return path.lower().endswith(PICKLE_SUFFIXES)


def weight_files(paths: Iterable[str], named_by_index: Collection[str] | None) -> WeightFiles:
    """The files an engine would load. `named_by_index`: what the index's weight_map names; None: no index was read."""
    paths = set(paths)
    here = sorted(p for p in paths if "/" not in p)
    if named_by_index is not None:
        named = sorted(set(named_by_index))
        return WeightFiles(tuple(p for p in named if p in paths), tuple(p for p in named if p not in paths))
    if "model.safetensors" in here:
        return WeightFiles(("model.safetensors",))
    safetensors = [p for p in here if p.endswith(".safetensors") and not p.startswith("adapter_")]
    preferred = [p for p in safetensors if not p.startswith("consolidated")] or safetensors
    if preferred:
        return WeightFiles(tuple(sorted(preferred)), _missing_shards(preferred, paths))
    pickles = [p for p in here if p.startswith(("pytorch_model", "model", "consolidated")) and is_pickle(p)]
    return WeightFiles(tuple(sorted(pickles)), pickle=bool(pickles))


def _missing_shards(shards: Collection[str], paths: Collection[str]) -> tuple[str, ...]:
    """Of a sharded set that is still being uploaded: the numbers that aren't there, and the index itself."""
    missing: set[str] = set()
    for path in shards:
        if shard := _SHARD.match(path):
            stem, count = shard["stem"], int(shard["count"])
            if count > 100_000:
                continue
            every = {f"{stem}-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)}
            missing |= every
            if stem == "model" and count > 1:
                missing.add(INDEX)
    return tuple(sorted(missing.difference(paths)))


@dataclass(frozen=True)
class Wanted:
    """`take`: what to download. `leave`: path → why not, for the manifest."""

    take: tuple[str, ...]
    leave: dict[str, str]


def wanted(
    paths: Iterable[str], weights: WeightFiles, *, allow_pickle: bool = False, allow_code: bool = False
) -> Wanted:
    """Everything the engine may read and nothing that runs: weights, config, tokenizer, texts."""
    take, leave = [], {}
    for path in paths:
        lower = path.lower()
        if path in weights.loaded:
            reason = "pickle: reading it runs code" if is_pickle(path) and not allow_pickle else ""
        elif path == MANIFEST:
            reason = "the name of our own manifest"
        elif lower.endswith(".safetensors") or is_pickle(path) or lower.endswith(FOREIGN_SUFFIXES):
            reason = "another copy of the weights, or another format"
        elif lower.endswith((".py", ".pyc", ".so", ".sh", ".dll", ".exe")):
            reason = "" if allow_code and lower.endswith(".py") else "code from the repository"
        elif PurePosixPath(path).name == ".gitattributes":
            reason = "git's own"
        else:
            reason = ""
        if reason:
            leave[path] = reason
        else:
            take.append(path)
    return Wanted(tuple(take), leave)
