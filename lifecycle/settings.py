"""Settings: one TOML file, and the environment for secrets, parsed once into one frozen value.

`load()` is the only place that reads os.environ. A typo is answered with the key, what was expected and the nearest
valid name. Paths may be relative to the folder of the file. What each section holds is in sections/.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError, model_validator

from lifecycle.errors import BadSettings
from lifecycle.sections.cluster import Cluster
from lifecycle.sections.gateway import Gateway
from lifecycle.sections.gauntlet import Gauntlet
from lifecycle.sections.section import Section
from lifecycle.sections.serving import Images, Quantize, Runtime, Serving, Swap
from lifecycle.sections.site import Site
from lifecycle.sections.telling import Mail, People, Slack, Webhooks
from lifecycle.sections.watching import Github, Hub, Watch, Weights


class Settings(Section):
    site: Site = Site()
    cluster: Cluster = Cluster()
    runtimes: Mapping[str, Runtime] = Field(default_factory=dict)
    images: Images = Images()
    serving: Serving = Serving()
    hub: Hub = Hub()
    weights: Weights = Weights()
    swap: Swap = Swap()
    quantize: Quantize = Quantize()
    watch: Watch = Watch()
    github: Github = Github()
    slack: Slack = Slack()
    mail: Mail = Mail()
    webhooks: Webhooks = Webhooks()
    gateway: Gateway = Gateway()
    gauntlet: Gauntlet = Gauntlet()
    people: People = People()
    tick_s: float = Field(default=2, gt=0)

    @model_validator(mode="after")
    def _the_ladder_names_runtimes(self) -> "Settings":
        for rung in self.serving.ladder:
            if self.runtimes and rung not in self.runtimes:
                raise ValueError(f"serving.ladder names {rung!r}, but there is no [runtimes.{rung}]")
        return self

    @property
    def ledger_path(self) -> Path:
        return self.site.state / "ledger.db"

    @property
    def gateway_path(self) -> Path:
        return self.site.state / "gateway.db"

    @property
    def routing_path(self) -> Path:
        """The ledger that the gateway routes by, or its copy of that."""
        return self.site.state / "routing.db" if self.gateway.follows else self.ledger_path

    @property
    def gateway_store(self) -> "Path | Shared":
        """Where the gateway's keys and usage are: gateway.db, or the database that several hosts share."""
        url = self.gateway.database.get_secret_value() if self.gateway.database else ""
        return Shared(url) if url else self.gateway_path


@dataclass(frozen=True)
class Shared:
    """A Postgres that gateways on several hosts share. Its URL may hold a password: it is never shown."""

    url: str = field(repr=False)


SECRETS = {
    "HF_TOKEN": ("hub", "token"),
    "GITHUB_TOKEN": ("github", "token"),
    "SLACK_BOT_TOKEN": ("slack", "bot_token"),
    "SLACK_APP_TOKEN": ("slack", "app_token"),
    "SLACK_SIGNING_SECRET": ("slack", "signing_secret"),
    "DAYZERO_MAIL_PASSWORD": ("mail", "password"),
    "DAYZERO_WEBHOOK_SECRET": ("webhooks", "secret"),
    "DAYZERO_DISPATCH_TOKEN": ("webhooks", "github_token"),
    "DAYZERO_GATEWAY_DATABASE": ("gateway", "database"),
    "GITLAB_TRIGGER_TOKEN": ("webhooks", "gitlab_token"),
}
"""Environment variable → where it goes. Secrets in the file are refused: the file is read by more people."""

DEFAULT_FILE = "dayzero.toml"


def load(path: Path | str | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read `path` (else $DAYZERO_CONFIG, else ./dayzero.toml) and the environment's secrets. Raises BadSettings."""
    env = os.environ if environment is None else environment
    file = Path(path or env.get("DAYZERO_CONFIG") or DEFAULT_FILE).expanduser()
    try:
        data = tomllib.loads(file.read_text())
    except FileNotFoundError:
        advice = "Copy docs/dayzero.example.toml, or set DAYZERO_CONFIG."
        raise BadSettings(f"There is no settings file {file}.", advice) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"{file} can't be read as TOML: {error}.", "Mend that line.") from None
    return parse(data, file, env)


def parse(data: dict, file: Path, env: Mapping[str, str]) -> Settings:
    """Settings out of a parsed document; `file` resolves relative paths and is named in errors. Raises BadSettings."""
    for variable, (section, key) in SECRETS.items():
        table = data.setdefault(section, {})
        if isinstance(table, dict):
            if key in table:
                advice = f"Take it out and set {variable} in the environment."
                raise BadSettings(f"{file}: {section}.{key} is a secret.", advice)
            if env.get(variable):
                table[key] = env[variable]
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(_sentence(e) for e in error.errors())
        raise BadSettings(f"{file}: {faults}.", "Mend the file.") from None
    return _absolute(settings, file.resolve().parent)


def _absolute(settings: Settings, base: Path) -> Settings:
    def under(path: Path | None) -> Path | None:
        return None if path is None else (base / path.expanduser()).resolve()

    return settings.model_copy(
        update={
            "site": settings.site.model_copy(
                update={"state": under(settings.site.state), "shared": under(settings.site.shared)}
            ),
            "gateway": settings.gateway.model_copy(update={"providers_file": under(settings.gateway.providers_file)}),
            "images": settings.images.model_copy(
                update={name: under(getattr(settings.images, name)) for name in ("smoke_model", "requirements", "base")}
            ),
            "mail": settings.mail.model_copy(update={"ca_file": under(settings.mail.ca_file)}),
            "gauntlet": settings.gauntlet.model_copy(update={"suites": under(settings.gauntlet.suites)}),
        }
    )


def _sentence(error: dict) -> str:
    """One pydantic error as 'key: what was found, what was expected'."""
    where = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(error["loc"][-1]), _keys_beside(error["loc"]), n=1)
        return f"{where} is not a known key" + (f"; did you mean {near[0]}?" if near else "")
    if error["type"] == "missing":
        return f"{where} is missing"
    return f"{where} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _keys_beside(location: tuple) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        found = _section_of(field.annotation)
        model = found or model
    return list(model.model_fields)


def _section_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _section_of(inner)) is not None:
            return found
    return None
