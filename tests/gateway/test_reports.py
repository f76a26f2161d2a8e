"""Reports: what GPUs cost, who carries it, and what `dayzero usage` prints of it."""

import csv
import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cli import main
from gateway import keys
from gateway.ledger.allocation import Bill, Held, bills, gpu_hours, shares
from gateway.ledger.held import held, spells
from gateway.store import connect, open_store
from gateway.usage import INSERT
from lifecycle.settings import Settings
from tests.gateway.test_usage import row
from tests.gateway.world import Ledger, configure

DAY_S = 86400
DAY = 19_000
THEN = DAY * DAY_S


def test_gpu_hours_fall_into_their_days() -> None:
    """Over midnight, still running, outside of the window, several of one deployment."""
    every = [
        Held("a", "org/a", 8, THEN + 22 * 3600, THEN + 25 * 3600),
        Held("a", "org/a", 8, THEN + DAY_S, THEN + DAY_S + 1800),
        Held("b", "org/b", 2, THEN + DAY_S + 3600, None),
        Held("c", "org/c", 4, THEN - DAY_S, THEN),
    ]
    found = gpu_hours(every, THEN, THEN + DAY_S + 2 * 3600)
    assert found == {(DAY, "a"): 16.0, (DAY + 1, "a"): 12.0, (DAY + 1, "b"): 2.0}


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 8), st.integers(0, 200), st.integers(0, 90))),
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 9))),
)
def test_nothing_of_the_bill_gets_lost(spans: list, uses: list) -> None:
    """Whatever is held and used: the parts and what nobody used add up to GPU-hours × price."""
    every = [Held(name, "m", gpus, start * 3600, (start + long) * 3600) for name, gpus, start, long in spans]
    hours = gpu_hours(every, 0, 10**9)
    assert sum(hours.values()) == pytest.approx(sum(gpus * long for _, gpus, _, long in spans))
    parts, unused = shares(hours, 2.5, [((day, name), (who,), count) for day, name, who, count in uses])
    assert sum(parts.values()) + unused == pytest.approx(2.5 * sum(hours.values()))


def test_a_bill_with_its_idle_share() -> None:
    """Ten GPU-hours at 2.5, of which a fifth answered requests; one without tokens has no price of a million."""
    every = [Held("a", "org/a", 2, 0, 5 * 3600), Held("b", "org/b", 1, 0, 3600)]
    first, second = bills(every, 0, 10**6, 2.5, {"a": (5.0, 2_000_000)})
    assert first == Bill("a", "org/a", 10.0, 25.0, 5.0, 2_000_000)
    assert (first.idle_share, first.per_million) == (pytest.approx(0.8), 12.5)
    assert (second.idle_share, second.per_million) == (1.0, None)


def test_a_requeued_server_held_its_gpus_twice() -> None:
    """From running to requeued, and from running to its end; one that still runs has no end."""
    moves = [(1, 10.0, "LOADING"), (1, 20.0, "QUEUED"), (1, 50.0, "LOADING"), (1, 60.0, "GONE"), (2, 5.0, "LOADING")]
    assert list(spells([*moves, (3, 1.0, "GONE")])) == [(1, 10.0, 20.0), (1, 50.0, 60.0), (2, 5.0, None)]


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    """Two keys' requests to one deployment, which held 8 GPUs for an hour yesterday; one request to a provider."""
    settings = configure(tmp_path)
    ledger = Ledger(settings.ledger_path)
    ledger.deploy("d1", "org/one")
    server = ledger.serve("d1", "http://127.0.0.1:1", "/w")
    start = time.time() // DAY_S * DAY_S - 12 * 3600
    ledger.note_server(server, "d1", start, "LOADING")
    ledger.note_server(server, "d1", start + 3600, "GONE")
    ledger.close()
    db = open_store(settings.gateway_path)
    for name, team in (("alice", "red"), ("=bob", "blue")):
        keys.issue(db, name, ["stable"], team)
    db.close()
    connection = connect(settings.gateway_path)
    own = {"deployment_id": "d1", "provider": "own", "model": "org/one", "status": 200}
    connection.execute(INSERT, row(0, start, **own, key_id=1, prompt_tokens=300, completion_tokens=0, cost=1.0))
    connection.execute(INSERT, row(1, start, **own, key_id=2, prompt_tokens=0, completion_tokens=100, cost=1.0))
    theirs = {"deployment_id": None, "provider": "openai", "model": "gpt", "status": 200, "cost": 0.5, "key_id": 1}
    connection.execute(INSERT, row(2, start, **theirs))
    connection.commit()
    connection.close()
    return settings


def usage(settings: Settings, capsys: pytest.CaptureFixture, *words: str) -> str:
    config = settings.gateway_path.parents[1] / "dayzero.toml"
    assert main(["usage", *words, "--config", str(config)]) == 0
    return capsys.readouterr().out


def test_the_whole_bill_by_key(place: Settings, capsys: pytest.CaptureFixture) -> None:
    """8 GPU-hours at 2.5 are 20: three quarters of the tokens carry 15; the provider's price comes on top."""
    assert [one.gpus for one in held(place.ledger_path, 0, time.time())] == [8]
    found = {one["key"].split()[0]: one for one in json.loads(usage(place, capsys, "--by", "key", "--json"))}
    assert found["alice"]["cost"] == 1.5 and found["alice"]["cost_with_idle"] == pytest.approx(15.5)
    assert found["=bob"]["cost"] == 1.0 and found["=bob"]["cost_with_idle"] == pytest.approx(5.0)


def test_table_csv_and_several_groups(place: Settings, capsys: pytest.CaptureFixture) -> None:
    """Columns for each group; a name that a spreadsheet would calculate is harmless in CSV."""
    table = usage(place, capsys, "--by", "model,day").splitlines()
    assert table[0].split()[:3] == ["MODEL", "DAY", "REQUESTS"] and len(table) == 3
    rows = list(csv.DictReader(io.StringIO(usage(place, capsys, "--by", "key,team", "--csv"))))
    assert [one["team"] for one in rows if one["key"].startswith("'=bob")]
    assert {one["requests"] for one in rows} == {"1"} and len(rows) == 3


def test_gpus(place: Settings, capsys: pytest.CaptureFixture) -> None:
    """Hours, cost, idle share and the price of a million tokens of each of our deployments."""
    line = usage(place, capsys, "--gpus").splitlines()[1].split()
    assert line == ["d1", "org/one", "8.0", "20.00", "90%", "400", "50000.00"]
    assert json.loads(usage(place, capsys, "--gpus", "--json"))[0]["idle_share"] == pytest.approx(0.9)
    assert usage(place, capsys, "--gpus", "--csv").splitlines()[0].startswith("deployment_id,model,gpu_hours")


def test_nobodys_usage_and_wrong_words(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Before the first request every format is empty; no days and unknown groups are refused."""
    settings = configure(tmp_path)
    assert usage(settings, capsys, "--by", "team").split()[:2] == ["TEAM", "REQUESTS"]
    assert usage(settings, capsys, "--csv").startswith("model,requests")
    assert json.loads(usage(settings, capsys, "--json")) == []
    config = str(tmp_path / "dayzero.toml")
    assert main(["usage", "--days", "0", "--config", config]) != 0
    assert main(["usage", "--by", "colour", "--config", config]) != 0
    assert "colour" in capsys.readouterr().err
