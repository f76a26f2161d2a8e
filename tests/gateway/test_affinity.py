"""Which replica takes a request: conversations come home, load and latency count, and the choice is quick."""

import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.affinity import NONE, Affinity, of
from gateway.call import CHAT, Call
from gateway.choosing import home_of, pick
from gateway.replicas import Replica
from gateway.routing import Endpoint

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def replicas(*inflight: int) -> list[Replica]:
    found = []
    for n, busy in enumerate(inflight, 1):
        replica = Replica(Endpoint(n, f"http://10.0.0.{n}:8000", "/w", "vllm", 0.0))
        replica.inflight = busy
        found.append(replica)
    return found


def chat(*turns: str, session: bytes = b"") -> Call:
    roles = ["user", "assistant"]
    messages = [{"role": "system", "content": "Be brief."}]
    messages += [{"role": roles[n % 2], "content": text} for n, text in enumerate(turns)]
    call = Call(CHAT, None, "org/m", {"messages": messages}, False, False)
    call.session = session
    return call


def test_all_turns_of_a_conversation_have_one_key() -> None:
    """The beginning they share gives it; another question is another conversation; a session's name goes first."""
    first, later, other = of(chat("Hi")), of(chat("Hi", "Hello", "Why?")), of(chat("Ho"))
    assert first.key == later.key != other.key
    assert not first.grown and later.grown
    named = of(chat("Hi", session=b"s-1"))
    assert named.pinned and named.key == of(chat("Ho", session=b"s-1")).key


@pytest.mark.parametrize(
    "messages",
    [None, [], "x", [1, None], [{"role": 3, "content": 4}], [{"content": [{"text": 5}, "x", {"type": "image_url"}]}]],
)
def test_odd_messages_are_no_trouble(messages: object) -> None:
    """What the backend will refuse gets here first."""
    assert isinstance(of(Call(CHAT, None, "m", {"messages": messages}, False, False)), Affinity)


def test_a_conversation_has_one_home_and_homes_are_spread() -> None:
    """Of 4 idle replicas each is home to about a quarter; when one goes, only its own conversations move."""
    four = replicas(0, 0, 0, 0)
    keys = [of(chat(f"question {n}")).key for n in range(2000)]
    homes = [pick(four, Affinity(key), 0.0) for key in keys]
    assert all(400 < count < 600 for count in Counter(one.endpoint.id for one in homes).values())
    for key, home in zip(keys, homes, strict=True):
        if home is not four[3]:
            assert home_of(four[:3], key) is home


@calm
@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(1, 2**64 - 1), st.booleans())
def test_a_home_that_is_much_busier_is_left(busy: list[int], key: int, grown: bool) -> None:
    """By four requests at most, by one for a first turn; without a conversation the least busy is taken."""
    them = replicas(*busy)
    least = min(busy)
    alike = (least + 1) * 1.1 - 1 + 1e-9  # a tenth more counts as the same
    assert pick(them, Affinity(key, grown=grown), 0.0).inflight <= max(least + (4 if grown else 1), alike)
    assert pick(them, NONE, 0.0).inflight <= alike
    assert pick(them, Affinity(key, pinned=True), 0.0) is home_of(them, key)


def test_a_slow_replica_gets_less_until_that_is_forgotten() -> None:
    """Ten times the latency: no request while the other is idle; a minute later it is tried again."""
    fast, slow = replicas(0, 0)
    for _ in range(5):
        fast.answered(0.1, 0.0)
        slow.answered(1.0, 0.0)
    assert {pick([fast, slow], NONE, 0.0) for _ in range(50)} == {fast}
    fast.answered(0.1, 60.0)
    assert slow in {pick([fast, slow], NONE, 60.0) for _ in range(50)}


def test_a_new_replica_is_not_flooded() -> None:
    """Nothing is known of it: it counts as half of what the others take, not as nothing."""
    known, new = replicas(0, 0)
    known.answered(1.0, 0.0)
    new.inflight = 3
    assert pick([known, new], NONE, 0.0) is known


def test_choosing_takes_less_than_fifty_microseconds() -> None:
    """With 16 replicas and 50 messages; the best of some rounds, so that a busy machine can't fail it."""
    them = replicas(*range(16))
    for replica in them:
        replica.answered(0.2, 0.0)
    call = chat(*(f"message {n}, of some length " * 20 for n in range(50)))
    best = 1.0
    for _ in range(50):
        began = time.perf_counter()
        for _ in range(20):
            pick(them, of(call), 1.0)
        best = min(best, (time.perf_counter() - began) / 20)
    assert best < 50e-6
