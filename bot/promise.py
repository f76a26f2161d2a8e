"""The promise: from publication to `preview` within a day. The clock of a release, and warnings while there is time."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bot.sentences import duration
from bot.show import progress
from lifecycle import deployments as states
from lifecycle import queries, releases
from lifecycle.ledger import Ledger
from lifecycle.records import Deployment, Release

KIND = "note.promise"
NEWS_S = 86400
"""What was public for longer when we met it is no news (somebody's /deploy of an old model): no clock."""

RUNNING = (releases.FOUND, releases.OFFERED, releases.SNOOZED, releases.APPROVED)
OVER = (states.DRAINING, states.RETIRED)


@dataclass(frozen=True)
class Clock:
    """Epoch seconds. `reached`: when it came to preview; None: not yet."""

    began: float
    due: float
    reached: float | None

    def words(self, now: float) -> str:
        """What a card says of it, to the minute."""
        if self.reached is not None:
            return f"in preview {duration(self.reached - self.began)} after publication"
        left = (self.due - now) // 60 * 60
        if left < 0:
            return f"{duration(self.due - self.began)} after publication were over {duration(-left)} ago"
        return f"{duration(left)} left of {duration(self.due - self.began)} to preview"


def clock(db: sqlite3.Connection, release: Release, promise_hours: float) -> Clock | None:
    """None: nobody waits for it (a framework, skipped, withdrawn, given up, or old when we met it)."""
    began = release.published_at
    if release.kind != "model" or began is None or release.found_at - began > NEWS_S:
        return None
    row = db.execute(
        "SELECT min(at) FROM events WHERE release_id = ? AND kind = 'deployment.passed'", (release.id,)
    ).fetchone()
    deployment = queries.newest_of_release(db, release.id) if release.state == releases.APPROVED else None
    given_up = deployment is not None and deployment.state in OVER
    if row[0] is None and (release.state not in RUNNING or given_up):
        return None
    return Clock(began, began + promise_hours * 3600, row[0])


def warn(ledger: Ledger, promise_hours: float, marks: Sequence[float]) -> int:
    """Write down a warning for each release that has passed a mark (hours) it was not warned of; their number.

    Only the latest mark speaks: whoever was asleep over two of them hears one word.
    """
    warned = 0
    hours = sorted({*(mark for mark in marks if mark < promise_hours), promise_hours})
    for release in queries.releases_in(ledger.connection, *RUNNING):
        found = clock(ledger.connection, release, promise_hours)
        if found is None or found.reached is not None:
            continue
        age = (ledger.clock() - found.began) / 3600
        passed = [mark for mark in hours if age >= mark]
        if passed and _warn(ledger, release, found, passed[-1]):
            warned += 1
    return warned


def _warn(ledger: Ledger, release: Release, found: Clock, mark: float) -> bool:
    with ledger.write() as db:
        said = db.execute(
            "SELECT max(json_extract(detail, '$.mark')) FROM events WHERE release_id = ? AND kind = ?",
            (release.id, KIND),
        ).fetchone()[0]
        if said is not None and said >= mark:
            return False
        deployment = queries.newest_of_release(db, release.id) if release.state == releases.APPROVED else None
        reason, remedy = why(release, deployment)
        sentence = f"{release.repo}: {found.words(ledger.clock())}. {reason}"
        ledger.note(KIND, release_id=release.id, deployment_id=deployment.id if deployment else None,
                    detail={"mark": mark, "sentence": sentence, "next_step": remedy})  # fmt: skip
    return True


def why(release: Release, deployment: Deployment | None) -> tuple[str, str]:
    """(what it waits for, what would help), in plain sentences."""
    repo = release.repo
    if deployment is None:
        if release.state == releases.FOUND:
            return release.refusal or "It has not been planned yet.", "It goes on by itself when its files are there."
        if release.plan is None:
            return (
                release.refusal or "It has no plan.",
                f"Try `/deploy {repo} --quant fp8`, `--context 4096`, or more nodes with `--nodes`.",
            )
        return "Nobody has decided about it.", "Approve it, or skip it."
    if deployment.state == states.BROKEN:
        return f"It broke: {deployment.reason}", f"{deployment.next_step or 'Retry it.'} {FALL_BACK}".format(repo=repo)
    if deployment.state == states.STARTING and deployment.progress.get("stage") == "queue":
        return f"Its server waits: {progress(deployment)}.", SMALLER.format(repo=repo)
    remedy = REMEDIES.get(deployment.state, "")
    return f"It is {deployment.state}. {progress(deployment)}".strip(), remedy.format(repo=repo)


FALL_BACK = "Or cancel it and fall back: `/deploy {repo} --engine transformers`, or `--nodes` with more of them."
SMALLER = "Less starts sooner: cancel it, then `/deploy {repo} --quant fp8`, `--nodes 1` or `--context 4096`."
REMEDIES: Mapping[str, str] = {
    states.CACHING: "The download job's log says how it goes: `/status` with its name. A quantized variant is smaller.",
    states.STARTING: FALL_BACK,
    states.LISTING: "Look whether the gateway is up: `dayzero check gateway`.",
    states.TESTING: "The Gauntlet is at work; see its log if the samples stand still.",
    states.HELD: "Read the report and pass it or fail it.",
}


def lines(db: sqlite3.Connection, rows: Collection[int], promise_hours: float, now: float) -> list[str]:
    """One line for each of these releases that is still on its way."""
    said = []
    for row in sorted(rows):
        release = queries.release(db, row)
        found = clock(db, release, promise_hours)
        if found is not None and found.reached is None:
            said.append(f"{release.repo}: {found.words(now)}")
    return said
