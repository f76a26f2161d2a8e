"""Our plans beside what people have published: tests/data/published_deployments.json, each line with its source.

Compared is what can be: the same GPUs in the same nodes, as many nodes as they took at least, their context where it is
known, one request at a time where they say nothing of more.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from batch.planning.planner import plan
from lifecycle.errors import Refused
from lifecycle.plans import Plan
from tests.batch.plan_facts import SIZED, cluster, facts_of

ROWS = json.loads((Path(__file__).parents[1] / "data" / "published_deployments.json").read_text())
WIDEST = {"GH200": 4, "GB200": 4}
"""GPUs of a node, where it is not eight."""

SAME, FEWER, MORE, NO = "the same", "fewer", "more", "refused"


@dataclass(frozen=True)
class Compared:
    """`ours` is None where we refuse; `why` says so, or why our plan is another one."""

    row: dict
    ours: Plan | None
    why: str

    @property
    def word(self) -> str:
        if self.ours is None:
            return NO
        if self.ours.gpus == self.row["gpus"]:
            return SAME
        return FEWER if self.ours.gpus < self.row["gpus"] else MORE


def comparable(row: dict) -> bool:
    """vLLM's, of weights whose size we know, in the precision that they are published in."""
    if row["engine"] != "vllm" or row["model"] not in SIZED:
        return False
    ours, theirs = facts_of(row["model"]).dtype or "bfloat16", (row["dtype"] or "").lower()
    kind = {"bfloat16": ("bf16", "auto"), "float16": ("fp16", "auto", "bf16")}.get(ours, (ours, "auto", "mixed"))
    return any(word in theirs for word in kind) and "(" not in theirs.replace("(bf16)", "").replace("(fp8)", "")


def compare(row: dict) -> Compared:
    facts = facts_of(row["model"])
    per_node = max(row["gpus"] // row["nodes"], WIDEST.get(row["gpu"], 8 if row["memory_gb"] > 48 else 4))
    context = min(row["context"] or 8192, facts.context or 8192)
    site = cluster((row["gpu"], row["memory_gb"], per_node), max_nodes=max(8, row["nodes"]), context=context,
                   concurrency=1)  # fmt: skip
    try:
        ours = plan(facts, site, {"context": context})
    except Refused as refusal:
        return Compared(row, None, str(refusal))
    return Compared(row, ours, ours.reasons[0])


def table() -> list[Compared]:
    return [compare(row) for row in ROWS if comparable(row)]
