"""A plan in words: how a model would be served, why so, whom it would preempt. Pure."""

import time

from slack_sdk.models.blocks import Block

from bot.sentences import duration, gpu_hours, plural, size
from bot.slack.text import code, context, safe, section, told
from lifecycle.plans import Plan


def shown(plan: Plan) -> list[Block]:
    """All three, the reasons in small print."""
    reasons = [context(said)] if (said := why(plan)) else []
    return [section(how(plan)), *reasons, section(whom(plan))]


def how(plan: Plan) -> str:
    split = f"tensor {plan.tensor_parallel} × pipeline {plan.pipeline_parallel}"
    engines = " → ".join(safe(rung.runtime, 40) for rung in plan.ladder)
    lines = [
        f"*How it would be served:* {plural(plan.nodes, 'node')} × {plan.gpus_per_node} {safe(plan.gpu_type, 40)} "
        f"({split}), {safe(plan.dtype, 40)}, context {plan.context:,}, "
        f"{size(plan.memory_per_gpu)} of {size(plan.gpu_memory)} per GPU",
        f"Engines, in this order: {engines}",
    ]
    if plan.expected_load_s is not None:
        lines.append(f"Loading should take {duration(plan.expected_load_s)}")
    if plan.lasts_s is not None:
        lines.append(f"For {duration(plan.lasts_s)} from its first preview on, then its GPUs are given back")
    return "\n".join(lines)


def why(plan: Plan) -> str:
    """The plan's reasons, one a line; empty: it has none."""
    return "\n".join(told(reason, 300) for reason in plan.reasons)


def whom(plan: Plan) -> str:
    if plan.forecast is None:
        return "*Preempts:* not known, the scheduler gave no forecast"
    starts = plan.forecast.starts_at
    when = f"Slurm would start it at {moment(starts)}" if starts else "Slurm names no start time"
    when = safe(plan.forecast.note, 300).rstrip(".") if plan.forecast.note and not starts else when
    if not plan.forecast.victims:
        return f"*Preempts:* nobody. {when}."
    lost = [
        f"• job {code(v.handle, 20)} {safe(v.name, 60)} of {safe(v.user, 40)}: has run {duration(v.ran_s)}, "
        f"{gpu_hours(v.gpu_hours)} at stake"
        for v in plan.forecast.victims[:15]
    ]
    more = len(plan.forecast.victims) - len(lost)
    return "\n".join([f"*Preempts:* {when}.", *lost, *([f"and {more} more"] if more else [])])


def instead(plan: Plan) -> str:
    """The quantized plan in two lines."""
    lost = len(plan.forecast.victims) if plan.forecast else None
    cost = "not known whom it preempts" if lost is None else f"preempts {plural(lost, 'job') if lost else 'nobody'}"
    return (
        f"*Quantized instead:* {plural(plan.nodes, 'node')} × {plan.gpus_per_node} {safe(plan.gpu_type, 40)}, "
        f"{safe(plan.quantization or plan.dtype, 40)}, {size(plan.weights_bytes)}, context {plan.context:,}, {cost}\n"
        f"_{safe(plan.reasons[0] if plan.reasons else '', 300)}_"
    )


def moment(at: float | None) -> str:
    """In each reader's own time zone."""
    if at is None:
        return "unknown"
    fallback = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
    return f"<!date^{int(at)}^{{date_short_pretty}} {{time}}|{fallback}>"
