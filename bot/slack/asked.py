"""What `/status` answers. Pure reading; the words of the command line."""

from bot import logs, looks, pace, promise, show
from bot.naming import named
from bot.slack.text import block_code, safe
from lifecycle import queries, releases, reports
from lifecycle.errors import NotFound
from lifecycle.ledger import Ledger
from lifecycle.ports import Scheduler
from lifecycle.records import Deployment
from lifecycle.settings import Settings

MOST = 2800


class Status:
    """`answer(word)`: "" for everything, cluster, costs, history, or a deployment's id or model."""

    def __init__(self, settings: Settings, ledger: Ledger, scheduler: Scheduler):
        self._settings = settings
        self._ledger = ledger
        self._scheduler = scheduler

    def answer(self, word: str) -> str:
        """Text for Slack."""
        now = self._ledger.clock()
        match word:
            case "cluster":
                return _head(looks.cluster(self._scheduler.snapshot(()), now, self._scheduler.capacity()))
            case "costs":
                return _head(looks.costs(looks.today(self._settings, now)))
            case "history":
                return _head(pace.shown(pace.paces(self._ledger.connection)))
            case "":
                return self._everything(now)
        return self._one(named(self._ledger.connection, word), now)

    def _everything(self, now: float) -> str:
        db = self._ledger.connection
        found = queries.deployments(db)
        waiting = queries.releases_in(db, releases.OFFERED, releases.SNOOZED)
        its_servers = {d.id: queries.servers_of(db, d.id) for d in found}
        return _head(show.status(found, its_servers, waiting, now, self._clocks(found, waiting, now)))

    def _clocks(self, found: list, waiting: list, now: float) -> list[str]:
        rows = {r.id for r in waiting} | {d.release_id for d in found if d.release_id is not None}
        return promise.lines(self._ledger.connection, rows, self._settings.watch.promise_hours, now)

    def _one(self, deployment: Deployment, now: float) -> str:
        db = self._ledger.connection
        report = reports.address(self._settings, deployment.id, deployment.verdict)
        its_servers, victims = queries.servers_of(db, deployment.id), queries.victims_of(db, deployment.id)
        text = show.one(deployment, its_servers, victims, now, report)
        found = logs.tail(self._settings.site.shared, deployment, 12)
        said = _head(text, 1400)
        return f"{said}\n{safe(found.name)}:\n{block_code(found.text, 1200)}" if found.name else said

    def log(self, deployment: Deployment) -> str:
        """The end of the log that matters now."""
        found = logs.tail(self._settings.site.shared, deployment)
        if not found.name:
            raise NotFound(f"{deployment.id} has no log yet.", "`/status` says what it waits for.")
        return f"{safe(found.name)}:\n{block_code(found.text, MOST)}"


def _head(text: str, most: int = MOST) -> str:
    """The beginning of a long answer: a status begins with what waits."""
    return block_code(text if len(text) <= most else text[: most - 2] + " …", most)
