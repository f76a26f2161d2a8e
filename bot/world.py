"""The composition root: Settings → everything that is plugged together. The only place that knows everybody."""

import time
from dataclasses import dataclass

from batch.hub import HubReader
from batch.recipes import Recipes
from batch.scheduler import choose
from bot import frameworks, promise
from bot.demands import GatewayDemands
from bot.exams import GauntletExams
from bot.hooks.courier import Courier
from bot.offers import Offers
from bot.smaller import Smaller
from bot.watch.github import GithubWatch
from bot.watch.hub import HubWatch
from bot.watch.rounds import PATIENCE_S, Rounds
from gateway.registry import Registry
from lifecycle import deployments, queries, reconcile
from lifecycle.guards import Rails
from lifecycle.ledger import Ledger
from lifecycle.ports import Clock
from lifecycle.records import Deployment
from lifecycle.scaling import Pace
from lifecycle.settings import Settings
from lifecycle.swaps import SwapRules
from lifecycle.world import Limits, World


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All parts of one process. `watch()` and `tick()` each take one round and return what a person may read."""

    settings: Settings
    world: World
    offers: Offers
    hub: HubReader
    hub_watch: HubWatch
    github_watch: GithubWatch
    rounds: tuple[Rounds, ...]
    frameworks: frameworks.Frameworks
    courier: Courier

    @property
    def ledger(self) -> Ledger:
        return self.world.ledger

    def close(self) -> None:
        for one in (*self.rounds, self.hub_watch, self.github_watch):
            one.close()
        self.courier.close()
        self.ledger.close()

    def watch(self, patience_s: float = PATIENCE_S) -> int:
        """Look at every source that is due, and offer what is ready; the number of releases found.

        A source that takes longer than `patience_s` is taken in by a later round.
        """
        found = sum(one.step(patience_s) for one in self.rounds)
        self.offers.step()
        self.frameworks.step()
        promise.warn(self.ledger, self.settings.watch.promise_hours, self.settings.watch.warn_hours)
        return found

    def tick(self) -> reconcile.Tick:
        """One step of every row that is due."""
        return reconcile.tick(self.world)


def in_stable(ledger: Ledger) -> list[Deployment]:
    """What everybody calls now, the newest first."""
    return [one for one in reversed(queries.deployments(ledger.connection)) if one.state == deployments.STABLE]


def build(settings: Settings, clock: Clock = time.time) -> Parts:
    """Connects nothing: the first use does. BadSettings or Refused when a part can't be what the settings say."""
    ledger = Ledger(settings.ledger_path, clock)
    scheduler = choose(settings, settings.site.state / "scheduler", clock)
    recipes = Recipes(settings)
    world = World(
        ledger=ledger,
        scheduler=scheduler,
        recipes=recipes,
        exams=GauntletExams(settings, recipes, clock, lambda: in_stable(ledger)),
        registry=Registry(settings),
        clock=clock,
        shared=settings.site.shared,
        limits=Limits(warn_s=settings.cluster.guards.warn_minutes * 60, dry_run=settings.serving.dry_run),
        swapping=SwapRules.of(settings.swap),
        rails=Rails.of(settings.cluster),
        demands=GatewayDemands(settings.gateway_store),
        pace=Pace(concurrency=settings.serving.concurrency),
    )
    hub = HubReader(settings.hub)
    hub_watch = HubWatch(settings, ledger)
    github_watch = GithubWatch(
        settings, ledger, lambda engine: frameworks.architectures(ledger.connection, engine)
    )
    return Parts(
        settings=settings,
        world=world,
        hub=hub,
        offers=Offers(
            ledger, hub, recipes, scheduler, settings.watch.settle_s, Rails.of(settings.cluster),
            Smaller(hub, recipes, settings.watch.partners),
        ),
        hub_watch=hub_watch,
        github_watch=github_watch,
        frameworks=frameworks.Frameworks(settings, ledger),
        rounds=(Rounds(ledger, hub_watch), Rounds(ledger, github_watch)),
        courier=Courier(settings, ledger),
    )
