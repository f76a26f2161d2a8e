"""What a person saw when they decided: the plan and whose jobs it costs. A click carries it: it may be stale."""

import hashlib
from dataclasses import replace

from lifecycle.plans import Plan
from lifecycle.records import Release


def sight(plan: Plan) -> str:
    """Short, of the plan and of the jobs it would preempt; how long they have run does not matter."""
    jobs = ",".join(sorted(victims(plan)))
    return f"{plan.digest}-{hashlib.sha256(jobs.encode()).hexdigest()[:6]}"


def smaller_of(release: Release) -> Plan | None:
    """The quantized plan that is offered beside the plain one."""
    found = release.notes.get("smaller")
    return Plan.from_dict(found) if found else None


def victims(plan: Plan) -> frozenset[str]:
    """Handles of the jobs that the forecast names."""
    return frozenset(v.handle for v in plan.forecast.victims) if plan.forecast else frozenset()


def changed(old: Plan, new: Plan) -> str:
    """What a person who agreed to `old` has not agreed to yet, as a sentence; empty: nothing.

    Fewer jobs to preempt is not worth asking again, and neither are other words for the same plan, or how long it
    is expected to load.
    """
    words = {"reasons": (), "expected_load_s": None}
    if replace(old, **words).digest != replace(new, **words).digest:
        return "The plan is another one now."
    more = sorted(victims(new) - victims(old)) if new.forecast else []
    if more:
        return f"It would now preempt {'jobs' if len(more) > 1 else 'job'} {', '.join(more[:5])}, too."
    return ""
