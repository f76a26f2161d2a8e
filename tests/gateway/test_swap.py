"""While one deployment takes the place of another: who answers to which name, and how well each one does."""

import contextlib
from pathlib import Path

import pytest

from gateway.keys import issue
from gateway.quality import FAILED_ATTEMPT, quality
from gateway.routing import Endpoint, Served, Table
from gateway.store import open_store
from gateway.usage import INSERT, Usage
from lifecycle.swaps import Quality

BOTH = frozenset({"preview", "stable"})
UP = (Endpoint(1, "http://a", "m", "vllm", 0.0),)


def served(name: str, model: str, **more: object) -> Served:
    fields = {"revision": "r", "tag": "preview", "tag_since": 0.0, "weight": 1.0, "gpus": 1, "endpoints": UP}
    return Served(**{"id": name, "model": model, **fields, **more})


def ids(table: Table, name: str, tags: frozenset = BOTH) -> list[str]:
    return [one.id for one in table.find(name, tags)]


ELDER = served("elder", "org/m", tag="stable", tag_since=1.0)
COMING = served("new", "org/m-fp8", tag_since=2.0, weight=0.0, elder="elder")
TAKING = served("new", "org/m-fp8", tag_since=2.0, weight=0.25, elder="elder", stands_in=True)


@pytest.mark.parametrize(
    ("table", "name", "found"),
    [
        ([ELDER, COMING], "org/m", ["elder"]),
        ([ELDER, COMING], "org/m-fp8", ["new"]),
        ([ELDER, COMING], "new", ["new"]),
        ([ELDER, COMING], "stable", ["elder"]),
        ([ELDER, COMING], "preview", []),
        ([ELDER, TAKING], "org/m", ["elder", "new"]),
        ([ELDER, TAKING], "stable", ["elder", "new"]),
        ([ELDER, TAKING], "elder", ["elder"]),
        ([served("elder", "org/m"), served("new", "org/m", elder="elder", weight=0.0)], "org/m", ["elder"]),
        ([served("elder", "org/m"), served("new", "org/m", elder="elder", stands_in=True)], "org/m", ["elder", "new"]),
        ([served("new", "org/m-fp8", elder="elder", stands_in=True, aliases=("org/m",))], "org/m", ["new"]),
        ([served("new", "org/m-fp8", aliases=("org/m", "org/m-old"))], "org/m-old", ["new"]),
        ([served("new", "org/m-fp8", elder="elder", aliases=("org/m",))], "preview", ["new"]),
    ],
)
def test_who_answers_to_a_name(table: list[Served], name: str, found: list[str]) -> None:
    """Before its turn only to its own names; in its turn beside the elder; alone to all that the elder was called."""
    assert ids(Table.of(1, table), name) == found


def test_an_elder_without_a_server_is_stood_in_for() -> None:
    """Its name stays callable, in the tag that the caller may see, as long as one of the two has a server."""
    down = served("elder", "org/m", tag="stable", endpoints=())
    table = Table.of(1, [down, TAKING])
    assert ids(table, "org/m", frozenset({"stable"})) == ["elder", "new"]


def test_every_name_is_listed() -> None:
    """GET /v1/models shows the names of what was replaced: callers go on using them."""
    table = Table.of(1, [served("new", "org/m-fp8", aliases=("org/m",))])
    assert set(table.models(BOTH)) == {"org/m", "org/m-fp8"}


def usage(request: str, deployment: str, status: int, ttft_s: float | None = 0.1, at: float = 100.0) -> Usage:
    return Usage(
        at=at, request_id=request, key_id=1, team="", asked="m", model="m", deployment_id=deployment, endpoint_id=1,
        provider="own", stream=True, status=status, prompt_tokens=1, completion_tokens=1, counted="backend",
        ttft_s=ttft_s, duration_s=1.0, cost=0.0, cost_estimated=True,
    )  # fmt: skip


def test_quality_sees_what_callers_do_not(tmp_path: Path) -> None:
    """An attempt that the elder had to answer is the successor's failure; a caller's own mistake is nobody's."""
    path = tmp_path / "gateway.db"
    rows = [
        usage("a", "new", 200, 0.2), usage("b", "new", 200, 0.4), usage("c", "new", 200, 0.3), usage("d", "new", 502),
        usage("e", "new", 400), usage("f", "new", 499), usage("g", "elder", 200, 0.1), usage("h", "new", 500, at=1.0),
    ]  # fmt: skip
    with contextlib.closing(open_store(path)) as db:
        issue(db, "k", ["stable"])
        for row in rows:
            db.execute(INSERT, row)
        db.execute(FAILED_ATTEMPT, (100.0, "g", "new", 7, "refused"))
        db.execute(FAILED_ATTEMPT, (100.0, "d", "new", 7, "lost"))
        db.conn.commit()
    assert quality(path, ["new", "elder", "other"], since=50.0) == {
        "new": Quality(requests=6, failed=2, ttft_s=pytest.approx(0.3)),
        "elder": Quality(requests=1, failed=0, ttft_s=0.1),
        "other": Quality(),
    }
    assert quality(tmp_path / "none.db", ["new"], 0) == {"new": Quality()}
