"""The quantize job's plan and its inputs in the run folder."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from batch.planning import planner, quantizing
from lifecycle.errors import NoSpace, Refused
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan, Quantizing
from lifecycle.ports import Chat
from lifecycle.runfolder import RunFolder
from lifecycle.settings import Settings


def plan(facts: ModelFacts, scheme: str, settings: Settings, wishes: dict[str, object]) -> Plan:
    """How the copy, once it is made, would be served. Refused: what is missing to make it, or to serve it."""
    if not settings.quantize.command:
        raise Refused(
            "There is no llm-compressor here: quantize.command is empty.",
            "Set it (docs/swap.md), or name an official quantized copy: `--to org/name`.",
        )
    chosen = quantizing.scheme_of(scheme)
    copy = quantizing.foreseen(facts, chosen)
    needs = quantizing.needs(facts, chosen, settings)
    made = planner.plan(copy, settings, wishes)
    where = f"one {needs.gpu_type}" if needs.gpu_type else "CPUs"
    said = f"Its weights are made here from {facts.revision[:12]} by llm-compressor ({scheme}), on {where}."
    group = copy.config["quantization_config"].get("group_size", 0)
    how = Quantizing(
        made_from=facts.revision, scheme=scheme, group_size=group, host_memory=needs.host, gpu_type=needs.gpu_type
    )
    return replace(made, quantizing=how, reasons=(said, *made.reasons))


def how_of(plan: Plan) -> Quantizing:
    """Refused for a plan whose weights are downloaded."""
    if plan.quantizing is None:
        raise Refused(f"The weights of {plan.model} are downloaded, not made.", "That is a mistake: report it.")
    return plan.quantizing


def order(plan: Plan, folder: RunFolder, settings: Settings, chats: Sequence[Chat]) -> dict[str, Any]:
    """quantize.json, and calibration.jsonl beside it where the scheme looks at prompts."""
    how = how_of(plan)
    scheme = quantizing.scheme_of(how.scheme)
    calibration = folder.path / "calibration.jsonl" if scheme.calibrated else None
    if calibration is not None:
        _write_chats(calibration, spread(chats, settings.quantize.samples))
    return {
        "shared": str(settings.site.shared),
        "repo": plan.model,
        "made_from": how.made_from,
        "revision": plan.revision,
        "scheme": how.scheme,
        "group_size": how.group_size,
        "command": list(settings.quantize.command),
        "calibration": str(calibration) if calibration else None,
        "sample_tokens": settings.quantize.sample_tokens,
    }


def spread(chats: Sequence[Chat], most: int) -> list[Chat]:
    """At most so many, evenly from all suites. Refused when there are none."""
    if not chats:
        raise Refused("There is no prompt to calibrate with: the suites are empty.", "Say --quant fp8, or add cases.")
    step = max(1.0, len(chats) / most)
    return [chats[int(n * step)] for n in range(min(most, len(chats)))]


def _write_chats(path: Path, chats: Sequence[Chat]) -> None:
    text = "".join(json.dumps([dict(message) for message in chat]) + "\n" for chat in chats)
    try:
        if path.exists() and path.read_text() == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.new")
        aside.write_text(text)
        aside.replace(path)
    except OSError as error:
        advice = "Make room there, or mend its permissions."
        raise NoSpace(f"{path} can't be written: {error.strerror}.", advice) from error


def resources(plan: Plan, settings: Settings) -> dict[str, Any]:
    """gres, cpus and memory (MiB) of the job, and where it runs when it has a GPU."""
    cluster, count, how = settings.cluster, settings.quantize.gpus, how_of(plan)
    memory = f"{-(-how.host_memory // 2**20)}M"
    asked: dict[str, Any] = {"memory": memory, "cpus": settings.quantize.cpus, "gres": ""}
    if not how.gpu_type or not count:
        return asked
    gpu = cluster.gpus.get(how.gpu_type)
    kind = f":{gpu.gres}" if gpu and gpu.gres else ""
    return asked | {"gres": f"gpu{kind}:{count}", "partition": cluster.partition, "qos": settings.quantize.qos}
