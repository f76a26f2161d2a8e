"""The gateway: its address, who may ask, who waits, what is logged and traced."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from lifecycle.sections.section import Section


class Queue(Section):
    """Who has to wait before a server takes his request, and how long. Limits are shared out among the workers."""

    per_server: int = Field(default=1024, gt=0)  # requests that one server works on at a time
    models: Mapping[str, int] = Field(default_factory=dict)  # pattern over models → another limit than per_server
    length: int = Field(default=1000, ge=0)  # requests that wait for one model; those beyond it: 429
    patience_s: float = Field(default=60, gt=0)  # who waited so long for his turn: 429
    hold_s: float = Field(default=0, ge=0)  # a model whose servers sleep or move is waited for; 0: 503 at once


class Grant(Section):
    """What a claim of a token lets its bearer do. Of several that fit: all tags and models, the first team."""

    claim: str = "groups"
    value: str = "*"  # or one of them, where the claim is a list; * stands for any letters
    team: str = ""
    tags: tuple[Literal["stable", "preview", "candidate"], ...] = ("stable",)
    models: tuple[str, ...] = ()  # names or globs; empty: all
    priority: int = Field(default=0, ge=-100, le=100)


class Oidc(Section):
    """An identity provider whose tokens (JWT) are taken in the place of keys."""

    issuer: str = Field(pattern="^https?://")  # as in the tokens, letter for letter
    audience: str  # whom the tokens are made for: us
    jwks_url: str = ""  # its public keys; empty: as its openid-configuration says
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"], ...] = ("RS256",)
    name_claim: str = "email"  # shown in listings; else the subject
    grants: Mapping[str, Grant] = Field(default_factory=dict)  # who fits none of them is refused


class RequestLog(Section):
    """What was asked and answered, redacted, in files of this host. Off until a key or a team is named."""

    keys: tuple[str, ...] = ()  # names or prefixes of keys, * for any letters; empty: none
    teams: tuple[str, ...] = ()  # names of teams, * for any letters; empty: none
    answers: bool = True  # what the model said as well
    redact: tuple[str, ...] = ()  # more patterns (regular expressions); keys and e-mail addresses always go
    most_mb: int = Field(default=100, ge=1)  # of all of it; the oldest goes

    @field_validator("redact")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return patterns


class Tracing(Section):
    """OpenTelemetry: a span for each call. Needs `dayzero[tracing]`."""

    endpoint: str = Field(default="", pattern="^(https?://.*)?$")  # OTLP over HTTP, http://collector:4318; empty: off
    share: float = Field(default=1, ge=0, le=1)  # of the calls whose caller doesn't trace; a caller who does decides
    service: str = "dayzero-gateway"  # what the spans call us


class Gateway(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = ""  # empty: http://host:port
    workers: int = Field(default=1, ge=1, le=64)  # processes that answer; each can fill one core
    providers_file: Path | None = None
    gpu_hour_price: float = Field(default=2.5, ge=0)  # for the cost of our own models
    database: SecretStr | None = Field(default=None, description="DAYZERO_GATEWAY_DATABASE")
    follows: bool = False  # no bot on this host: the routing comes out of that database
    strict_limits: bool = False  # that database is away: nothing of limits a minute, not an equal part each
    keep_requests_days: int = Field(default=90, ge=1)  # single requests; their sums stay
    aliases: Mapping[str, str] = Field(default_factory=dict)  # name → pattern over served models; the newest answers
    first_byte_s: float = Field(default=600, gt=0)  # a server that sends nothing at all for so long is given up
    between_bytes_s: float = Field(default=300, gt=0)  # and one that fell silent within its answer
    queue: Queue = Queue()
    tracing: Tracing = Tracing()
    request_log: RequestLog = RequestLog()
    admin_host: str = "127.0.0.1"
    admin_port: int | None = Field(default=None, ge=0, le=65535)  # of the admin API; empty: there is none
    oidc: Mapping[str, Oidc] = Field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.public_url or f"http://{self.host}:{self.port}"
