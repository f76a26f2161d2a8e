"""A swap, a rollback and another swap while callers ask without a pause: none of them notices."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from lifecycle import queries, swapping, swaps
from lifecycle.deployments import PREVIEW, RETIRED
from tests.story.conftest import ENGINE, SHELF
from tests.story.swap_site import Load, Site, site_in
from tests.waiting import until

pytestmark = [pytest.mark.story, pytest.mark.engine, pytest.mark.timeout(900)]

MODEL = "acme/tiny-good"
PATIENCE_S = 300


@pytest.fixture
def site():
    if not (ENGINE / "bin" / "transformers").exists() or not (SHELF / "good").is_dir():
        pytest.skip("the engine environment or the tiny models are missing: python3 -m lab.setup")
    with site_in(Path(tempfile.mkdtemp(prefix="dz-"))) as site:
        yield site


def asked_of(site: Site) -> dict[str, list[int]]:
    """deployment → statuses of the rows in the gateway's ledger."""
    with closing(sqlite3.connect(site.settings.gateway_path)) as db:
        rows = db.execute("SELECT deployment_id, status FROM usage").fetchall()
    found: dict[str, list[int]] = {}
    for deployment, status in rows:
        found.setdefault(deployment, []).append(status)
    return found


def test_no_request_is_lost(site: Site) -> None:
    """Canary, takeover, rollback, a second swap to its end: every request answered, each once in the ledger."""
    swap_under_load(site)


def swap_under_load(site: Site) -> None:
    """What is promised of a swap, on any site."""
    ledger = site.parts.ledger
    elder = site.deploy(MODEL, "a" * 40)
    second, third = site.deploy(f"{MODEL}-fp8", "b" * 40), site.deploy(f"{MODEL}-awq", "c" * 40)
    everybody = (elder, second, third)
    site.tick_until(lambda: all(site.state(one) == PREVIEW for one in everybody), PATIENCE_S, "three in preview")
    until(site.taken_over, 30, "the gateway to know them")

    def state_of(name: str) -> str:
        return swaps.last_swap_of(ledger.connection, name).state

    def begin(successor: str) -> None:
        steps = site.settings.swap.steps
        swapping.begin(ledger, queries.deployment(ledger.connection, elder), successor, steps, by="alice")

    with Load(site, MODEL) as load:
        begin(second)
        site.tick_until(lambda: state_of(second) == swaps.TAKEN, PATIENCE_S, "the successor to have all requests")
        assert len(asked_of(site).get(second, [])) > 0, load.answers[-3:]
        swapping.rollback(ledger, second, by="alice")
        site.tick_until(lambda: site.state(second) == RETIRED, PATIENCE_S, "the successor to be gone")
        begin(third)
        site.tick_until(lambda: site.state(elder) == RETIRED, PATIENCE_S, "the elder to be gone")
        alone = len(load.answers)
        site.tick_until(lambda: len(load.answers) > alone + 5, 60, "answers under the old name")

    statuses = asked_of(site)
    assert {answer for answer in load.answers if answer != (200, "")} == set()
    assert sum(map(len, statuses.values())) == len(load.answers), "each request once"
    assert {status for them in statuses.values() for status in them} == {200}
    assert set(statuses) == set(everybody)
