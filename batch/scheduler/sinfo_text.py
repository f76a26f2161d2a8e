"""What sinfo says about nodes and their GPUs. Pure."""

import re

FORMAT = "%N|%T|%G"
"""One line for each node and partition: name, state, generic resources."""

AWAY = ("down", "drain", "fail", "error", "future", "unknown", "inval")
_GPUS = re.compile(r"\bgpu(?::[^:,()]+)?:(\d+)")


def gpus_of(text: str) -> int:
    """GPUs of all nodes that can take jobs now or later; a node in two partitions counts once."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.strip().partition("|")
        state, _, gres = rest.partition("|")
        if name and not state.lower().startswith(AWAY):
            found[name] = sum(int(number) for number in _GPUS.findall(gres))
    return sum(found.values())
