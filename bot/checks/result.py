"""What a check found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """`ok` None: not configured. `next_step` says how to mend what fails; one command a line."""

    part: str
    ok: bool | None
    sentence: str
    next_step: str = ""


@dataclass(frozen=True)
class Found:
    """A Result whose part the caller knows."""

    ok: bool | None
    sentence: str
    next_step: str = ""
