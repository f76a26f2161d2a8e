"""The tables: every state is reachable, every state can end, impossible events are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import deployments, releases
from lifecycle.deployments import DEPLOYMENT, NEEDS_SERVER, TAG_OF
from lifecycle.errors import WrongMove
from lifecycle.machine import BROKE_IN, Machine
from lifecycle.releases import RELEASE
from lifecycle.servers import ALIVE, SERVER
from lifecycle.swaps import SWAP
from lifecycle.victims import VICTIM

DECIDED = {releases.APPROVED, releases.SKIPPED, releases.WITHDRAWN}
"""Where a release rests; from each of them a person, or the Hub, can still take it up again."""

MACHINES = [RELEASE, DEPLOYMENT, SERVER, VICTIM, SWAP]


def targets(machine: Machine, state: str) -> set[str]:
    found = set(machine.table[state].values())
    return found - {BROKE_IN} | (set(machine.table) - {state} - machine.ends if BROKE_IN in found else set())


def reachable(machine: Machine, state: str) -> set[str]:
    seen, todo = {state}, [state]
    while todo:
        for target in targets(machine, todo.pop()) - seen:
            seen.add(target)
            todo.append(target)
    return seen


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
def test_every_state_is_reachable_and_can_end(machine: Machine) -> None:
    """From the start every state is reachable, and from every state some end is."""
    assert reachable(machine, machine.start) == set(machine.table)
    ends = machine.ends or DECIDED
    for state in machine.table:
        assert reachable(machine, state) & ends, f"{state} can never end"


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
def test_arrows_lead_to_states_of_the_table(machine: Machine) -> None:
    """No arrow leads to a word without a row."""
    for arrows in machine.table.values():
        assert set(arrows.values()) <= set(machine.table) | {BROKE_IN}


def test_draining_is_the_only_road_to_the_end() -> None:
    """A deployment can only retire through DRAINING, which gives its GPUs back."""
    before = {state for state, arrows in DEPLOYMENT.table.items() if deployments.RETIRED in arrows.values()}
    assert before == {deployments.DRAINING}
    for state in set(DEPLOYMENT.table) - {deployments.DRAINING, deployments.RETIRED}:
        assert deployments.DRAINING in DEPLOYMENT.table[state].values(), f"{state} has no way out"


def test_impossible_events_name_what_is_possible() -> None:
    """A wrong event answers with machine, state, event and the possible ones."""
    with pytest.raises(WrongMove) as caught:
        DEPLOYMENT.next("CACHING", "promoted")
    assert "deployment that is CACHING cannot be promoted" in str(caught.value)
    assert "cached, cancelled, broke" in caught.value.next_step
    with pytest.raises(WrongMove):
        DEPLOYMENT.next("RETIRED", "retried")
    with pytest.raises(WrongMove):
        DEPLOYMENT.next("BROKEN", "retried", None)


def test_tags_and_needs_are_consistent() -> None:
    """What the gateway shows needs a server; a server that counts as alive has not ended."""
    assert set(TAG_OF) <= NEEDS_SERVER
    assert not ALIVE & SERVER.ends


@given(st.sampled_from(MACHINES), st.lists(st.integers(0, 20), max_size=60))
def test_walks_stay_in_the_table(machine: Machine, choices: list[int]) -> None:
    """Any walk along the arrows, with BROKEN remembering where it came from, stays within the table."""
    state, broke_in = machine.start, None
    for choice in choices:
        arrows = list(machine.table[state])
        if not arrows:
            break
        event = arrows[choice % len(arrows)]
        new = machine.next(state, event, broke_in)
        if new == deployments.BROKEN:
            broke_in = state
        state = new
        assert state in machine.table
