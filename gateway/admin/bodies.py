"""What the admin API takes: JSON objects, with unknown names refused."""

from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from gateway.errors import bad_request
from lifecycle.sections.section import Section

Tag = Literal["stable", "preview", "candidate"]
Limit = dict[str, float | int | None]
"""By the names of auth.limits.Limits; null takes one away."""


class NewKey(Section):
    name: str = Field(min_length=1, max_length=200)
    tags: tuple[Tag, ...] = ("preview", "stable")
    team: str = Field(default="", max_length=200)
    days: float | None = Field(default=None, gt=0, lt=36500)  # until it expires
    models: tuple[str, ...] = ()
    model_map: dict[str, str] = Field(default_factory=dict)
    priority: int = 0
    limits: Limit = Field(default_factory=dict)
    admin: bool = False


class KeyChange(Section):
    name: str | None = Field(default=None, min_length=1, max_length=200)
    tags: tuple[Tag, ...] | None = None
    team: str | None = Field(default=None, max_length=200)
    days: float | None = Field(default=None, gt=0, lt=36500)  # from now
    models: tuple[str, ...] | None = None
    model_map: dict[str, str] | None = None
    priority: int | None = None
    limits: Limit | None = None


class Rotation(Section):
    grace_hours: float = Field(default=0, ge=0, le=720)


class TeamChange(Section):
    tags: tuple[Tag, ...] | None = None
    models: tuple[str, ...] | None = None
    limits: Limit = Field(default_factory=dict)


Body = TypeVar("Body", bound=Section)


def read(kind: type[Body], body: bytes) -> Body:
    """An empty body is an empty object. Raises ApiError(400) that names each wrong field, and quotes none."""
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the body'}: {e['msg']}" for e in error.errors()[:10])
        raise bad_request(f"{wrong}. Mend it and send it again.") from None
