"""From FOUND to OFFERED: what it is, how it would be served here, whom it would evict. One step per release."""

from dataclasses import replace
from typing import Protocol

from bot.sentences import plural
from bot.sight import changed, sight, smaller_of
from bot.smaller import Smaller
from bot.watch.follow import UPDATE
from bot.watch.kinds import QUANTIZED
from lifecycle import actions, guards, queries, releases
from lifecycle.deployments import NEEDS_SERVER
from lifecycle.errors import DayzeroError, Permanent, Refused
from lifecycle.jobs import Forecast
from lifecycle.ledger import Ledger
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from lifecycle.ports import Recipes, Scheduler
from lifecycle.records import Release

RETRY_S = 15
FRESH_S = 60
"""A plan that is older than this is made again before it is approved: the cluster moves on."""


ASKING = (releases.OFFERED, releases.SNOOZED, releases.FOUND, releases.SKIPPED)
LOOK_AGAIN = "Look at the card as it is now, and click again."


class Facts(Protocol):
    """The Hub, seen from here."""

    def facts(self, repo: str, revision: str | None = None) -> ModelFacts: ...


class Offers:
    """`step()` takes one step of every release that waits for its facts, its plan or its time."""

    def __init__(self, ledger: Ledger, hub: Facts, recipes: Recipes, scheduler: Scheduler, settle_s: float,
                 rails: guards.Rails = guards.NO_RAILS, smaller: Smaller | None = None):  # fmt: skip
        self._smaller = smaller
        self._ledger = ledger
        self._rails = rails
        self._hub = hub
        self._recipes = recipes
        self._scheduler = scheduler
        self._settle_s = settle_s

    def step(self) -> int:
        """The number of releases that were offered."""
        offered = 0
        now = self._ledger.clock()
        for release in queries.releases_in(self._ledger.connection, releases.FOUND, releases.SNOOZED):
            if release.wake_at is not None and release.wake_at > now:
                continue
            if release.state == releases.SNOOZED:
                offered += self._ledger.move_release(release, "woke", wake_at=None)
            elif release.kind == "model":
                offered += self._offer(release)
        return offered

    def _offer(self, release: Release) -> bool:
        ledger = self._ledger
        try:
            facts = self._hub.facts(release.repo, release.revision)
        except DayzeroError as error:
            ledger.learn(release, release.facts, None, error.advice)
            # a commit never changes: what is permanently wrong with it waits for the next commit, not for the clock
            wait = error.retry_after_s or (RETRY_S if error.retryable else 10 * 365 * 86400)
            ledger.amend("releases", release.id, wake_at=ledger.clock() + wait)
            return False
        if not facts.complete:
            ledger.learn(
                release, facts, None, f"Announced, weights incomplete: {len(facts.missing)} files are missing."
            )
            ledger.amend("releases", release.id, wake_at=ledger.clock() + max(RETRY_S, self._settle_s))
            return False
        settled_at = (facts.modified_at or 0) + self._settle_s
        if settled_at > ledger.clock():
            ledger.learn(release, facts, None, "Announced; waiting for its last commit to settle.")
            ledger.amend("releases", release.id, wake_at=settled_at)
            return False
        plan, refusal = self.planned(facts)
        smaller = self._offered_smaller(facts)
        with ledger.write():
            self._keep(release, facts, plan, refusal, smaller=smaller)
            moved = ledger.move_release(release, "offered", wake_at=None)
            if moved and plan is not None:
                self._propose_swap(release, plan)
            return moved

    def _propose_swap(self, release: Release, plan: Plan) -> None:
        """An official quantized variant, or a new revision, of something that is deployed: a person decides."""
        if release.notes.get("kind") == UPDATE:
            self._propose_update(release)
        if release.notes.get("kind") != QUANTIZED:
            return
        for deployment in queries.deployments(self._ledger.connection):
            if deployment.model != release.notes["base"] or deployment.state not in NEEDS_SERVER:
                continue
            if not self._proposed("note.variant", release, deployment.id):
                sentence = (
                    f"{release.repo} is an official quantized variant of {deployment.model}, which runs as "
                    f"{deployment.id} on {plural(deployment.plan.gpus, 'GPU')}; it would take {plan.gpus}."
                )
                step = f"`dayzero swap {deployment.id} --to {release.repo}` puts it there step by step."
                self._ledger.note("note.variant", release_id=release.id, deployment_id=deployment.id,
                                  detail={"sentence": sentence, "next_step": step})  # fmt: skip

    def _propose_update(self, release: Release) -> None:
        name = release.notes["updates"]
        deployment = queries.deployment(self._ledger.connection, name)
        if deployment.state not in NEEDS_SERVER or self._proposed("note.update", release, name):
            return
        changed = ", ".join(release.notes.get("changed", ())[:3])
        sentence = f"{release.repo} has a new revision ({changed} changed); {name} serves the one before."
        step = f"`dayzero swap {name} --to {release.repo}` puts it there step by step."
        self._ledger.note("note.update", release_id=release.id, deployment_id=name,
                          detail={"sentence": sentence, "next_step": step})  # fmt: skip

    def _proposed(self, kind: str, release: Release, deployment: str) -> bool:
        """Once for each card, however many commits follow."""
        query = "SELECT 1 FROM events WHERE kind = ? AND release_id = ? AND deployment_id = ?"
        return self._ledger.connection.execute(query, (kind, release.id, deployment)).fetchone() is not None

    def facts(self, repo: str, revision: str | None) -> ModelFacts:
        """What the Hub says now."""
        return self._hub.facts(repo, revision)

    def planned(self, facts: ModelFacts, **wishes: object) -> tuple[Plan | None, str]:
        """The plan with a forecast, or None and the reason. A silent scheduler costs only the forecast."""
        try:
            plan = self._sized(facts, wishes)
            guards.check_plan(plan, self._rails)
        except Permanent as refusal:
            return None, refusal.advice
        return self._with_forecast(plan)

    def _with_forecast(self, plan: Plan) -> tuple[Plan | None, str]:
        try:
            forecast = self._scheduler.forecast(self._recipes.draft(plan))
        except DayzeroError as error:
            return replace(plan, reasons=(*plan.reasons, f"No forecast: {error}")), ""
        try:
            stay = self._stay(forecast)
        except Refused as refusal:
            return None, refusal.advice
        if stay is not None:
            forecast = replace(forecast, starts_at=None, note=stay.sentence)
        return replace(plan, forecast=forecast), ""

    def _sized(self, facts: ModelFacts, wishes: dict) -> Plan:
        scheme = wishes.pop("quant", None)
        if scheme is None or self._smaller is None:
            return self._recipes.plan(facts, **wishes)
        return self._smaller.plan(facts, str(scheme), **wishes)

    def _offered_smaller(self, facts: ModelFacts, wishes: dict | None = None) -> Plan | None:
        """The quantized plan that the card shows beside the plain one; None: there is none."""
        rest = {key: value for key, value in (wishes or {}).items() if key != "quant"}
        if self._smaller is None or (made := self._smaller.offer(facts, **rest)) is None:
            return None
        try:
            guards.check_plan(made, self._rails)
        except Refused:
            return None
        return self._with_forecast(made)[0]

    def _stay(self, forecast: Forecast) -> guards.Stay | None:
        """What the guard rails would say if it were submitted now."""
        now = self._ledger.clock()
        preempted = queries.preemptions_since(self._ledger.connection, now - guards.DAY_S)
        return guards.stay(forecast, preempted, self._rails, now)

    def ask(self, repo: str, revision: str | None, *, by: str, **wishes: object) -> Release:
        """Somebody's /deploy: that repository's release, found and planned now. UnknownModel, NoWeights, Refused, …"""
        facts = self._hub.facts(repo, revision)
        if not facts.complete:
            raise Refused(
                f"{facts.repo} is incomplete: {', '.join(facts.missing[:3])} is missing.", "Wait for its upload."
            )
        plan, refusal = self.planned(facts, **wishes)
        if plan is None:
            raise Refused(refusal)
        smaller = None if "quant" in wishes else self._offered_smaller(facts, wishes)
        ledger = self._ledger
        with ledger.write():
            ledger.found("model", facts.repo, facts.revision, by=by, published_at=facts.created_at)
            release = queries.release_of(ledger.connection, "model", facts.repo, facts.revision)
            if release.state == releases.APPROVED:
                release = self._once_more(release, by)
            elif release.state == releases.SKIPPED:
                ledger.move_release(release, "reopened", by=by)
            elif release.state in (releases.FOUND, releases.SNOOZED):
                ledger.move_release(
                    release, "offered" if release.state == releases.FOUND else "woke", by=by, wake_at=None
                )
            self._keep(release, facts, plan, "", wishes, smaller)
        return queries.release(ledger.connection, release.id)

    def _keep(
        self, release: Release, facts: ModelFacts, plan: Plan | None, refusal: str, wishes: dict | None = None,
        smaller: Plan | None = None,
    ) -> None:  # fmt: skip
        notes = {**release.notes, "planned_at": self._ledger.clock()}
        if smaller is not None:
            notes["smaller"] = smaller.to_dict()
        if wishes is not None:
            notes["wishes"] = wishes
        with self._ledger.write():
            self._ledger.learn(release, facts, plan, refusal)
            self._ledger.amend("releases", release.id, notes=notes)

    def renew(self, row: int, seen: str) -> None:
        """Before an approval: is what the person saw still so? Refused asks them to look again, at the new card.

        A plan of some age is made again; what got better meanwhile is kept without a word.
        """
        release = queries.release(self._ledger.connection, row)
        if release.plan is None or release.facts is None or release.state not in ASKING:
            return
        if sight(release.plan) != seen:
            raise Refused(f"The plan of {release.repo} has changed since you saw it.", LOOK_AGAIN)
        if self._ledger.clock() - release.notes.get("planned_at", 0) < FRESH_S:
            return
        plan, refusal = self.planned(release.facts, **release.notes.get("wishes", {}))
        if plan is None:
            self._keep(release, release.facts, None, refusal)
            raise Refused(f"{release.repo} can't be served as planned any more: {refusal}")
        if why := changed(release.plan, plan):
            self._keep(release, release.facts, plan, "")
            raise Refused(f"{release.repo} was planned again: {why}", LOOK_AGAIN)
        if plan.forecast is not None:
            self._keep(release, release.facts, replace(release.plan, forecast=plan.forecast), "")

    def approve(self, row: int, seen: str, *, by: str) -> str:
        """Approve the plan that was seen, if it still holds."""
        self.renew(row, seen)
        return actions.approve(self._ledger, row, seen.partition("-")[0], by=by)[1]

    def approve_smaller(self, row: int, seen: str, *, by: str) -> str:
        """The same of the quantized plan beside it: it becomes the release's plan, and is approved, in one step."""
        db = self._ledger.connection
        release = queries.release(db, row)
        plan = smaller_of(release)
        if plan is not None and release.state in ASKING:
            plan = self._renewed_smaller(release, plan, seen)
        with self._ledger.write():
            now = queries.release(db, row)
            if plan is None:
                raise Refused(f"There is no quantized plan of {release.repo} any more.", LOOK_AGAIN)
            if now.state in ASKING:
                self._ledger.learn(now, now.facts, plan, "")
            return actions.approve(self._ledger, row, plan.digest, by=by)[1]

    def _renewed_smaller(self, release: Release, plan: Plan, seen: str) -> Plan:
        if sight(plan) != seen:
            raise Refused(f"The quantized plan of {release.repo} has changed since you saw it.", LOOK_AGAIN)
        if self._ledger.clock() - release.notes.get("planned_at", 0) < FRESH_S or release.facts is None:
            return plan
        now = self._offered_smaller(release.facts, release.notes.get("wishes"))
        if now is None:
            raise Refused(f"No quantized plan of {release.repo} holds now.", "Approve the plain one, or try later.")
        if why := changed(plan, now):
            self._keep(release, release.facts, release.plan, release.refusal, smaller=now)
            raise Refused(f"{release.repo} was planned again: {why}", LOOK_AGAIN)
        return replace(plan, forecast=now.forecast)

    def _once_more(self, release: Release, by: str) -> Release:
        """A model that was deployed before may be deployed again: unless it still is."""
        for deployment in queries.deployments(self._ledger.connection):
            if (deployment.model, deployment.revision) == (release.repo, release.revision):
                raise Refused(f"{release.repo} is deployed already, as {deployment.id} ({deployment.state}).")
        self._ledger.move_release(release, "reopened", by=by)
        return queries.release(self._ledger.connection, release.id)
