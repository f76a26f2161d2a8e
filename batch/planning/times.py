"""How long a plan's weights take to come, by what was measured here; where nothing was, it says so."""

from dataclasses import replace

from batch.payloads.cache_shares import shares_for
from batch.planning.sentences import bytes_text, count
from batch.rates import measured
from lifecycle.plans import Plan
from lifecycle.settings import Settings


def shares_of(plan: Plan, settings: Settings) -> int:
    """Over how many jobs its download is dealt."""
    return shares_for(plan.weights_bytes, settings.weights.array_bytes, settings.weights.array_tasks)


def timed(plan: Plan, settings: Settings) -> Plan:
    """The plan with its load time, and a sentence each about loading and about downloading."""
    rates, shares = measured(settings.site.shared, plan.gpu_type), shares_of(plan, settings)
    how = f"measured over {count(rates.loads, 'load')}" if rates.loads else "assumed, until a large model was loaded"
    said = [f"Weights load at {bytes_text(rates.load)}/s into each node ({how})."]
    if shares > 1:
        said.append(f"{shares} jobs download the weights, about {bytes_text(plan.weights_bytes / shares)} each.")
    if rates.fetch:
        minutes = max(1, round(plan.weights_bytes / shares / rates.fetch / 60))
        each = f"{bytes_text(rates.fetch)}/s of each job, measured over {count(rates.fetches, 'download')}"
        said.append(f"The download takes about {count(minutes, 'minute')} ({each}).")
    seconds = round(rates.start_s + plan.weights_bytes / plan.nodes / rates.load, 1)
    return replace(plan, expected_load_s=seconds, reasons=(*plan.reasons, *said))
