"""The whole plan in a window: every number, every reason, every file. Pure."""

from bot.sentences import duration, params, size
from bot.sight import smaller_of
from bot.slack.planned import shown
from bot.slack.text import block_code, divider, safe, section, told
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from lifecycle.records import Release

FILES = 60
TITLE_LIMIT = 24


def details(release: Release) -> dict:
    """A modal, as views.open takes it."""
    blocks = [section(f"*{safe(release.repo)}*")]
    plan, facts = release.plan, release.facts
    if release.refusal:
        blocks.append(section(told(release.refusal, 1500)))
    if plan is not None:
        blocks += [*shown(plan), divider(), section(block_code(_numbers(plan), 2800))]
    if smaller := smaller_of(release):
        blocks += [divider(), section("*Quantized instead*"), *shown(smaller)]
    if facts is not None:
        blocks += [divider(), section(block_code(_facts(facts), 2800)), section(block_code(_files(facts), 2800))]
    return modal("The whole plan", [block.to_dict() for block in blocks])


def modal(title: str, blocks: list[dict]) -> dict:
    return {
        "type": "modal",
        "title": {"type": "plain_text", "text": title[:TITLE_LIMIT]},
        "close": {"type": "plain_text", "text": "Close"},
        "blocks": blocks,
    }


def _numbers(plan: Plan) -> str:
    rows = [
        ("revision", plan.revision),
        ("digest", plan.digest),
        ("partition", plan.partition),
        ("QOS", plan.qos or "none"),
        ("account", plan.account or "the user's own"),
        ("nodes × GPUs", f"{plan.nodes} × {plan.gpus_per_node} {plan.gpu_type}"),
        ("tensor", plan.tensor_parallel),
        ("pipeline", plan.pipeline_parallel),
        ("data", plan.data_parallel),
        ("expert parallel", "yes" if plan.expert_parallel else "no"),
        ("dtype", plan.dtype),
        ("quantization", plan.quantization or "none"),
        ("context", f"{plan.context:,} tokens"),
        ("weights", size(plan.weights_bytes)),
        ("memory per GPU", f"{size(plan.memory_per_gpu)} of {size(plan.gpu_memory)}"),
        ("time limit", duration(plan.walltime_s)),
        ("expected to load in", duration(plan.expected_load_s)),
        ("remote code", "allowed" if plan.trust_remote_code else "not run"),
        ("pickle", "allowed" if plan.allow_pickle else "not loaded"),
    ]
    lines = [f"{name:20} {value}" for name, value in rows]
    for n, rung in enumerate(plan.ladder, 1):
        lines.append(f"{f'engine {n}':20} {rung.runtime} {' '.join(rung.args)}".rstrip())
        lines += [f"{'':20} {rung.why}"] if rung.why else []
    return "\n".join(lines)[:2700]


def _facts(facts: ModelFacts) -> str:
    rows = [
        ("architecture", facts.architecture or "unknown"),
        ("model type", facts.model_type or "unknown"),
        ("parameters", params(facts.params)),
        ("active", params(facts.params_active)),
        ("dtype", facts.dtype or "unknown"),
        ("quantization", facts.quantization or "none"),
        ("pipeline tag", facts.pipeline_tag or "none"),
        ("on disk", size(facts.total_bytes)),
        ("safetensors", "yes" if facts.has_safetensors else "no"),
        ("pickle files", "yes" if facts.has_pickle else "no"),
        ("remote code", "needed" if facts.needs_remote_code else "not needed"),
    ]
    return "\n".join(f"{name:20} {value}" for name, value in rows)[:2700]


def _files(facts: ModelFacts) -> str:
    """The largest first: those are what takes the time."""
    found = sorted(facts.files, key=lambda f: -f.size)
    lines = [f"{size(f.size):>10}  {f.path[:100]}" for f in found[:FILES]]
    more = len(found) - len(lines)
    lines += [f"and {more} more"] if more else []
    return ("\n".join(lines) or "no files")[:2700]
