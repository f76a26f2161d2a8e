"""The composition root: Settings → everything that is plugged together. The only place that knows everybody."""

import random
import time
from dataclasses import dataclass

from batch.hub import HubReader
from batch.recipes import Recipes
from batch.scheduler import choose
from bot import promise
from bot.exams import GauntletExams
from bot.hooks.courier import Courier
from bot.offers import Offers
from bot.watch.github import GithubWatch
from bot.watch.hub import HubWatch
from bot.watch.rounds import round_of
from gateway.registry import Registry
from lifecycle import reconcile
from lifecycle.guards import Rails
from lifecycle.ledger import Ledger
from lifecycle.ports import Clock
from lifecycle.settings import Settings
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
    courier: Courier

    @property
    def ledger(self) -> Ledger:
        return self.world.ledger

    def close(self) -> None:
        self.github_watch.close()
        self.courier.close()
        self.ledger.close()

    def watch(self) -> int:
        """Look at every source that is due, and offer what is ready; the number of releases found."""
        spread = random.Random()
        found = round_of(self.ledger, self.hub_watch, self.settings.watch.every_s, spread)
        found += round_of(self.ledger, self.github_watch, self.settings.github.every_s, spread)
        self.offers.step()
        promise.warn(self.ledger, self.settings.watch.promise_hours, self.settings.watch.warn_hours)
        return found

    def tick(self) -> reconcile.Tick:
        """One step of every row that is due."""
        return reconcile.tick(self.world)


def build(settings: Settings, clock: Clock = time.time) -> Parts:
    """Connects nothing: the first use does. BadSettings or Refused when a part can't be what the settings say."""
    ledger = Ledger(settings.ledger_path, clock)
    scheduler = choose(settings, settings.site.state / "scheduler", clock)
    recipes = Recipes(settings)
    world = World(
        ledger=ledger,
        scheduler=scheduler,
        recipes=recipes,
        exams=GauntletExams(settings, recipes, clock),
        registry=Registry(settings),
        clock=clock,
        shared=settings.site.shared,
        limits=Limits(warn_s=settings.cluster.guards.warn_minutes * 60),
        rails=Rails.of(settings.cluster),
    )
    hub = HubReader(settings.hub)
    return Parts(
        settings=settings,
        world=world,
        hub=hub,
        offers=Offers(ledger, hub, recipes, scheduler, settings.watch.settle_s, Rails.of(settings.cluster)),
        hub_watch=HubWatch(settings, ledger),
        github_watch=GithubWatch(settings, ledger),
        courier=Courier(settings, ledger),
    )
