"""How new models are examined, and who judges."""

from pathlib import Path

from pydantic import Field

from lifecycle.sections.section import Section


class Gauntlet(Section):
    suites: Path | None = None  # empty: the suites that ship
    shards: int = Field(default=4, gt=0)
    judge: str = ""  # a model of the gateway; empty: judged questions wait for a person
    second_judge: str = ""  # another one; where the two differ, a person decides
    concurrency: int = Field(default=64, gt=0)  # requests at once of each shard, at most; it finds out how many do
