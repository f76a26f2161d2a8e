"""World: everything a step may touch, handed to it. The composition root fills it; tests fill it with other parts."""

from dataclasses import dataclass
from pathlib import Path

from lifecycle.demand import Demand
from lifecycle.guards import NO_RAILS, Rails
from lifecycle.ledger import Ledger
from lifecycle.ports import Clock, Demands, Exams, Recipes, Registry, Scheduler
from lifecycle.scaling import Pace
from lifecycle.swaps import USUAL_RULES, SwapRules


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How often and how long (seconds) the steps try before a person is asked."""

    cache_attempts: int = 3
    server_attempts: int = 3  # within server_window_s
    server_window_s: float = 6 * 3600
    exam_attempts: int = 2
    submit_attempts: int = 5
    heartbeat_stale_s: float = 60
    sick_s: float = 600
    cancel_again_s: float = 45  # longer than the launcher drains
    rollover_s: float = 3600  # before the end of its time a server wants a successor, ...
    rollover_share: float = 0.5  # ... but not before this share of its time is left
    dry_run: bool = False  # try the engine with dummy weights during the download
    warn_s: float = 0  # between telling the owners of jobs and submitting what preempts them
    retry_after_s: float = 5
    retry_after_most_s: float = 300


class Deaf:
    """Where no gateway counts: nothing sleeps, nothing grows."""

    def of(self, deployment: str) -> Demand | None:
        return None


NOBODY_ASKED = Deaf()
PACE = Pace()


@dataclass(frozen=True, kw_only=True)
class World:
    ledger: Ledger
    scheduler: Scheduler
    recipes: Recipes
    exams: Exams
    registry: Registry
    clock: Clock
    shared: Path
    limits: Limits = Limits()
    rails: Rails = NO_RAILS
    demands: Demands = NOBODY_ASKED
    pace: Pace = PACE
    swapping: SwapRules = USUAL_RULES
