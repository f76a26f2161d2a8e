"""How far an engine's start is, read from its log line by line. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Loading:
    """`progress` 0..1 never goes back. `fallback`: vLLM lends the architecture from Transformers. `weights_s`: seconds
    that reading the weights took, once the engine has said so."""

    phase: str = "starting"
    progress: float = 0.0
    note: str = "The engine is starting."
    fallback: bool = False
    weights_s: float = 0.0


def _share(low: float, high: float) -> Callable[[re.Match], float]:
    return lambda match: low + (high - low) * min(100, int(match["percent"])) / 100


def _at(value: float) -> Callable[[re.Match], float]:
    return lambda match: value


STEPS: tuple[tuple[re.Pattern, Callable[[re.Match], float], str], ...] = (
    (
        re.compile(r"Loading \S+ checkpoint shards.*?(?P<percent>\d+)% Completed \| (?P<done>\d+)/(?P<all>\d+)"),
        _share(0.10, 0.70),
        "Loading weights: shard {done} of {all}.",
    ),
    (re.compile(r"Loading (weights|checkpoint shards):\s+(?P<percent>\d+)%"), _share(0.10, 0.70), "Loading weights."),
    (re.compile(r"Starting to load model"), _at(0.10), "Loading weights."),
    (re.compile(r"Loading weights took|Model loading took"), _at(0.75), "The weights are loaded."),
    (re.compile(r"torch\.compile|Dynamo bytecode transform"), _at(0.80), "Compiling."),
    (re.compile(r"Capturing CUDA graphs.*?(?P<percent>\d+)%"), _share(0.85, 0.92), "Capturing CUDA graphs."),
    (re.compile(r"init engine .* took"), _at(0.93), "The engine is initialized."),
    (re.compile(r"Application startup complete|Uvicorn running on"), _at(0.97), "Waiting for its first answer."),
)
_TOOK = re.compile(r"Loading weights took (?P<seconds>[\d.]+) seconds")
_FALLBACK = re.compile(r"no vLLM implementation, falling back to Transformers")


def advance(seen: Loading, line: str) -> Loading:
    """What is known after one more line."""
    if _FALLBACK.search(line):
        seen = replace(seen, fallback=True)
    if took := _TOOK.search(line):
        seen = replace(seen, weights_s=max(seen.weights_s, float(took["seconds"])))
    for pattern, progress, note in STEPS:
        if match := pattern.search(line):
            value = progress(match)
            if value < seen.progress:
                return seen
            return replace(seen, phase="loading", progress=round(value, 3), note=note.format(**match.groupdict()))
    return seen
