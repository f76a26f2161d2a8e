"""What changed between two looks, as a pure function, over all histories that hypothesis can think of."""

from hypothesis import given
from hypothesis import strategies as st

from bot.watch.difference import compare, first_look

LISTINGS = st.dictionaries(st.sampled_from([f"acme/{n}" for n in "abcdef"]), st.sampled_from("123"), max_size=6)


@given(LISTINGS, LISTINGS)
def test_a_difference_carried_over_gives_the_new_listing(before: dict, after: dict) -> None:
    """before + new + moved - gone = after: nothing is missed, nothing invented, nothing is in two of them."""
    found = compare(before, after)
    if found.suspicious:
        assert before and not after
        return
    carried = {r: sha for r, sha in {**before, **found.new, **found.moved}.items() if r not in found.gone}
    assert carried == after or (len(before) == 1 and not after)
    parts = [set(found.new), set(found.moved), set(found.gone)]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert not set(found.new) & set(before) and set(found.moved) <= set(before)


@given(st.lists(LISTINGS, max_size=8))
def test_over_a_history_each_appearance_is_new_once(listings: list[dict]) -> None:
    """As often as a repository appears where it was not, so often it is new: never more, never less."""
    before: dict = {"acme/anchor": "1"}
    for listing in listings:
        after = {"acme/anchor": "1", **listing}
        found = compare(before, after)
        assert set(found.new) == set(after) - set(before)
        assert set(found.moved) == {r for r in set(after) & set(before) if after[r] != before[r]}
        assert set(found.gone) == set(before) - set(after)
        before = after


def test_an_organisation_that_vanishes_is_not_believed() -> None:
    """An empty answer about many repositories is a fault of the Hub; about one, or none, it may be true."""
    assert compare({"a/1": "x", "a/2": "x"}, {}).suspicious
    assert not compare({}, {}).suspicious


@given(LISTINGS, st.floats(0, 10))
def test_the_past_is_no_news(after: dict, since: float) -> None:
    """Of a first look only what was created after `since`; what has no date is the past."""
    created = {repo: float(n) for n, repo in enumerate(sorted(after)) if n % 2}
    assert set(first_look(after, created, since)) == {r for r in created if created[r] > since}
