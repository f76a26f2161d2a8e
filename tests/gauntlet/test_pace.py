"""How many at once: more while all is well, half as soon as the server says so, never beyond the limit, none lost."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from gauntlet.pace import LEAST, Pace


def test_it_opens_quickly_and_stops_at_the_limit():
    """Two hundred good answers open it from 8 to 64, and no further."""

    async def run() -> tuple[float, int]:
        pace, most = Pace(64), 0

        async def one() -> None:
            nonlocal most
            async with pace:
                most = max(most, pace.running)
                await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(200)))
        return pace.limit, most

    limit, most = asyncio.run(run())
    assert limit == 64 and 8 < most <= 64


def test_refusals_of_the_same_moment_halve_it_once():
    """Ten requests were under way when the server had enough: one lesson, not ten."""

    async def run() -> float:
        pace = Pace(64, start=32)
        seen = [await pace.__aenter__() for _ in range(10)]
        for one in seen:
            pace.slow_down(one)
        return pace.limit

    assert asyncio.run(run()) == 16


@given(st.lists(st.sampled_from(["ok", "refused", "cancelled"]), max_size=60), st.integers(1, 20))
def test_nobody_waits_for_ever_and_the_limit_holds(ends: list[str], most: int):
    """Whatever happens to each, all come through, and never more than `most` run at once."""

    async def run() -> None:
        pace = Pace(most)

        async def one(end: str) -> None:
            async with pace as seen:
                assert 1 <= pace.running <= most
                await asyncio.sleep(0)
                if end == "refused":
                    pace.slow_down(seen)

        tasks = [asyncio.ensure_future(one(end)) for end in ends]
        await asyncio.sleep(0)
        for task, end in zip(tasks, ends, strict=True):
            if end == "cancelled":
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert pace.running == 0 and LEAST <= pace.limit <= most

    asyncio.run(run())
