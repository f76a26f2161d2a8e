"""Limits are exact for several processes, also when one of them is killed while it holds something."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.auth import windows
from gateway.auth.board import Board
from gateway.auth.key import Key
from gateway.auth.limiter import Limiter
from gateway.auth.limits import Limits
from gateway.auth.refusal import OverLimit
from gateway.auth.subjects import Subject
from gateway.call import CHAT, Call
from gateway.store import open_store
from gateway.usage import INSERT, Usage

NOON = 1_790_000_000.0
ROOT = Path(__file__).resolve().parents[2]

HAMMER = """
import sys
from pathlib import Path
from gateway.auth.limiter import Limiter
from gateway.auth.refusal import OverLimit
from tests.gateway.test_limits_board import NOON, call, key
from gateway.auth.limits import Limits

folder, kind, most = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
limiter = Limiter(folder / "limits.board", folder / "gateway.db", lambda: NOON, lambda *_: None)
caller = key(Limits(**{kind: most}))
print("ready", flush=True)
sys.stdin.readline()
let_in = 0
for _ in range(2000):
    asked = call(caller, 6, 4)
    try:
        limiter.before(asked)
    except OverLimit:
        continue
    let_in += 1
    asked.count({"prompt_tokens": 6, "completion_tokens": 4})
    limiter.after(asked)
print(let_in, flush=True)
sys.stdin.readline()
"""


def key(limits: Limits, team: Limits | None = None, id: int = 1) -> Key:
    return Key(
        id, f"dz-0000000{id}", "alice", "red", frozenset({"stable"}), 0.0, "test", None, None,
        limits=limits, team_limits=team or Limits(),
    )  # fmt: skip


def call(caller: Key, prompt: int = 10, answer: int = 10) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * 4 * (prompt - 2)}], "max_tokens": answer}
    return Call(CHAT, caller, "m", body, False, False, at=NOON)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    open_store(tmp_path / "gateway.db").close()
    return tmp_path


class Hammers:
    """Processes that all ask at once."""

    def __init__(self, place: Path, kind: str, most: int, count: int = 4):
        command = [sys.executable, "-c", HAMMER, str(place), kind, str(most)]
        pipe = subprocess.PIPE
        self.all = [subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in range(count)]
        for one in self.all:
            assert one.stdout.readline() == "ready\n"

    def strike(self) -> int:
        """How many calls were let in, by all of them."""
        for one in self.all:
            one.stdin.write("go\n")
            one.stdin.flush()
        return sum(int(one.stdout.readline()) for one in self.all)

    def close(self) -> None:
        for one in self.all:
            one.stdin.close()
            one.stdout.close()
            one.wait(30)


@pytest.mark.parametrize(
    ("kind", "most", "expected"),
    [("requests_per_minute", 500, 500), ("tokens_per_minute", 5000, 500), ("tokens_per_month", 5004, 500)],
)
def test_four_processes_let_in_exactly_as_many_as_the_limit_says(place, kind: str, most: int, expected: int) -> None:
    """8,000 calls from four processes at once: not one too many, not one too few."""
    hammers = Hammers(place, kind, most)
    try:
        assert hammers.strike() == expected
    finally:
        hammers.close()


def limiter(place: Path, now: float = NOON) -> Limiter:
    return Limiter(place / "limits.board", place / "gateway.db", lambda: now, lambda *_: None)


HOLD = """
import sys
from pathlib import Path
from tests.gateway.test_limits_board import call, key, limiter
from gateway.auth.limits import Limits
from tests.gateway.test_limits_board import write_usage

place = Path(sys.argv[1])
mine, caller = limiter(place), key(Limits(tokens_per_day=100))
mine.before(call(caller, 20, 60))
if sys.argv[2] == "written":
    write_usage(place, 1, 70)
if sys.argv[2] == "locked":
    mine._board.lock()
print("holding", flush=True)
sys.stdin.readline()
"""


def write_usage(place: Path, key_id: int, tokens: int, provider: str = "own", cost: float = 0.0, at: float = NOON):
    row = Usage(
        at, "req-1", key_id, "red", "m", "m", None, None, provider, False, 200, 0, tokens, "backend", 0.1, 0.1, cost,
        False,
    )  # fmt: skip
    db = open_store(place / "gateway.db")
    with db.conn:
        db.execute(INSERT, row)
    db.close()


@pytest.mark.parametrize(("how", "fits"), [("running", 90), ("written", 20), ("locked", 90)])
def test_what_a_killed_worker_held_is_free_again_and_what_it_wrote_counts(place, how: str, fits: int) -> None:
    """kill -9 in the middle of a call, after its row was written, or with the board locked: nothing hangs."""
    mine, caller = limiter(place), key(Limits(tokens_per_day=100))
    command = [sys.executable, "-c", HOLD, str(place), how]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "holding\n"
        if how != "locked":
            with pytest.raises(OverLimit):
                mine.before(call(caller, 20, 20))
        mine.look()  # it lives: nothing is taken away
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(30)
    mine.look()
    with pytest.raises(OverLimit):
        mine.before(call(caller, 10, fits + 5))
    mine.before(call(caller, 10, fits - 5))
    mine.close()


def test_a_new_gateway_knows_what_the_ledger_says(place) -> None:
    """Budgets are read from the ledger when nobody else is at work, whatever an old board says."""
    caller = key(Limits(tokens_per_day=100))
    before = limiter(place)
    before.before(call(caller, 10, 80))
    before.close()
    write_usage(place, 1, 50)
    write_usage(place, 1, 900, at=NOON - 86400)
    after = limiter(place)
    after.before(call(caller, 10, 38))
    with pytest.raises(OverLimit) as refused:
        after.before(call(caller, 5, 5))
    assert refused.value.code == "insufficient_quota" and refused.value.retry_after_s == 86400 - NOON % 86400
    after.close()


def test_a_minute_survives_a_restart(place) -> None:
    """Who starts the gateway again does not get another minute's worth."""
    caller = key(Limits(requests_per_minute=1))
    one = limiter(place)
    one.before(call(caller))
    one.close()
    two = limiter(place, NOON + 5)
    with pytest.raises(OverLimit):
        two.before(call(caller))
    two.close()


def test_all_limits_or_none_are_booked(place) -> None:
    """A call that its team's limit refuses takes nothing from its key's."""
    mine = limiter(place)
    caller = key(Limits(requests_per_minute=2), team=Limits(requests_per_minute=1))
    first, second = call(caller), call(caller)
    mine.before(first)
    assert b"x-ratelimit-limit-requests: 1\r\n" in first.lines
    with pytest.raises(OverLimit, match="Your team red"):
        mine.before(second)
    alone = call(key(Limits(requests_per_minute=2)))
    mine.before(alone)
    assert b"x-ratelimit-remaining-requests: 0\r\n" in alone.lines
    assert mine.refused == {("team", "requests_per_minute"): 1}
    mine.close()


def test_money_is_reserved_and_settled(place) -> None:
    """A provider's daily spend and a key's monthly budget: the dearest possible answer is held, the true cost stays."""
    mine, caller = limiter(place), key(Limits(cost_per_month=10))
    provider = (Subject.of("provider", "openai", Limits(cost_per_day=1)),)

    def price(asked: int, answered: int) -> float:
        return answered * 0.009

    first = call(caller, 10, 100)
    mine.before(first)
    mine.spend(first, provider, price)
    other = call(key(Limits(), id=2), 10, 100)
    mine.before(other)
    with pytest.raises(OverLimit, match="The provider openai"):
        mine.spend(other, provider, price)
    mine.after(other)
    first.cost = 0.05
    first.count({"prompt_tokens": 1, "completion_tokens": 5})
    mine.after(first)
    mine.spend(other, provider, price)
    poor = call(key(Limits(cost_per_month=0.5), id=3), 10, 100)
    mine.before(poor)
    with pytest.raises(OverLimit, match="Your key"):
        mine.spend(poor, (), price)
    mine.close()


def test_a_key_without_limits_never_touches_the_board(place) -> None:
    """Nothing is locked, nothing is estimated."""
    mine = limiter(place)
    mine._board.lock = lambda: pytest.fail("locked")
    asked = call(key(Limits()))
    mine.before(asked)
    mine.after(asked)
    assert asked.lines == b""
    del mine._board.lock
    mine.close()


def test_a_damaged_board_is_made_anew(place) -> None:
    """Another size, another beginning: the file is begun again instead of believed."""
    (place / "limits.board").write_bytes(b"x" * 100)
    mine = limiter(place)
    mine.before(call(key(Limits(requests_per_minute=1))))
    mine.close()


def test_a_column_is_taken_over_and_given_back(place) -> None:
    """Workers have columns of their own; one that left makes room."""
    boards = [Board(place / "limits.board") for _ in range(3)]
    assert [one.worker for one in boards] == [0, 1, 2]
    boards[1].close()
    again = Board(place / "limits.board")
    assert again.worker == 1 and windows.SIZE > 0
    for one in (boards[0], boards[2], again):
        one.close()
