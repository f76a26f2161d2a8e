"""`dayzero swap`: which successor it finds or makes, and that nothing begins where it can't end well."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.successors import Ways, swap
from lifecycle import queries, swaps
from lifecycle.errors import Refused, WrongMove
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan, Quantizing
from lifecycle.records import Release
from lifecycle.sections.cluster import Cluster, Guards
from lifecycle.sections.serving import Quantize
from lifecycle.settings import Settings
from tests.lifecycle.test_swap import ELDER, of, play, quantized, run, served
from tests.lifecycle.town import SHA, Town, plan

FACTS = ModelFacts(repo="acme/Tiny-Good", revision=SHA, config={})
COPY = ModelFacts(repo="acme/Tiny-Good-FP8", revision="b" * 40, config={})
MADE = replace(plan(), revision=f"{SHA}-fp8", nodes=1, quantizing=Quantizing(made_from=SHA, scheme="fp8"))


@pytest.fixture
def town(tmp_path: Path):
    town = Town(tmp_path)
    served(town)
    yield town
    town.ledger.close()


def ways(town: Town, *, official: ModelFacts | None = None, command: bool = True, max_nodes: int = 4) -> Ways:
    def ask(repo: str, revision: str | None, *, by: str) -> Release:
        town.ledger.found("model", repo, revision or COPY.revision, by=by)
        release = queries.release_of(town.ledger.connection, "model", repo, revision or COPY.revision)
        town.ledger.learn(release, None, replace(quantized(), model=repo, revision=revision or COPY.revision))
        return queries.release(town.ledger.connection, release.id)

    return Ways(
        settings=Settings(
            cluster=Cluster(guards=Guards(max_nodes=max_nodes)),
            quantize=Quantize(command=("python",) if command else ()),
        ),
        ledger=town.ledger,
        facts=lambda repo, revision: FACTS,
        official=lambda facts, scheme: official,
        ask=ask,
        made_here=lambda facts, scheme, **wishes: MADE,
        on_the_fly=lambda facts, quant, **wishes: replace(plan(), quantization=quant, nodes=1),
    )


@pytest.mark.parametrize(
    ("given", "asked", "model", "how"),
    [
        ({"official": COPY}, {}, "acme/Tiny-Good-FP8", ""),
        ({"official": COPY}, {"scheme": "fp8"}, "acme/Tiny-Good-FP8", ""),
        ({"official": COPY}, {"scheme": "fp8", "own": True}, "acme/Tiny-Good", "made"),
        ({}, {}, "acme/Tiny-Good", "made"),
        ({"command": False}, {}, "acme/Tiny-Good", "fp8"),
        ({}, {"to": "acme/Other@" + "c" * 40}, "acme/Other", ""),
    ],
)
def test_which_successor(town: Town, given: dict, asked: dict, model: str, how: str) -> None:
    """Named before official, official before made here, made here before on the fly; each is on its way at once."""
    made, said = swap(ways(town, **given), ELDER, by="alice", **asked)
    new: Plan = of(town, made).plan
    assert new.model == model and of(town, made).replaces == ELDER and of(town, made).weight == 0
    assert (new.quantizing is not None) == (how == "made") and (new.quantization == "fp8") == (how == "fp8")
    assert swaps.open_swap_of(town.ledger.connection, made).state == swaps.COMING
    assert made in said and ELDER in said and "rollback" in said


def test_one_that_serves_already(town: Town) -> None:
    """Its card was approved before: it takes over without a second copy of it."""
    release = ways(town).ask("acme/Tiny-Good-FP8", COPY.revision, by="alice")
    other = town.ledger.approve(release, release.plan, by="alice")
    with pytest.raises(Refused, match="once it is in preview"):
        swap(ways(town), ELDER, to=other, by="alice")
    run(town, lambda: of(town, other).state == "PREVIEW")
    made, _ = swap(ways(town), ELDER, to="acme/Tiny-Good-FP8", by="alice")
    assert made == other and of(town, other).replaces == ELDER
    assert len(queries.deployments(town.ledger.connection)) == 2


@pytest.mark.parametrize("asked", [{}, {"to": "acme/Other@" + "c" * 40}])
def test_no_room_for_both(town: Town, asked: dict) -> None:
    """Refused before anything is approved or submitted, with both sizes and the rail."""
    with pytest.raises(Refused, match="max_nodes is 2"):
        swap(ways(town, max_nodes=2), ELDER, by="alice", **asked)
    assert len(queries.deployments(town.ledger.connection)) == 1


def test_what_can_not_be_swapped(town: Town) -> None:
    """A scheme nobody knows; a deployment that does not serve."""
    with pytest.raises(Refused, match="int3"):
        swap(ways(town), ELDER, scheme="int3", by="alice")
    release = ways(town).ask("acme/Tiny-Good-FP8", COPY.revision, by="alice")
    other = town.ledger.approve(release, release.plan, by="alice")
    with pytest.raises(WrongMove, match="CACHING"):
        swap(ways(town), other, by="alice")


def test_a_quantize_job_takes_the_place_of_the_download(town: Town) -> None:
    """The deployment whose weights are made here submits that job, and goes on as any other."""
    made, _ = swap(ways(town), ELDER, by="alice")
    run(town, lambda: any("quantize" in key for key in town.scheduler.submissions))
    assert f"dz-{made}-quantize-1" in town.scheduler.submissions
    town.publish_weights(of(town, made))
    play(town)
    run(town, lambda: of(town, made).state == "PREVIEW")
