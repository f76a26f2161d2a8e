"""Settings: one TOML file, and the environment for secrets, parsed once into one frozen value.

`load()` is the only place that reads os.environ. A typo is answered with the key, what was expected and the nearest
valid name. Paths may be relative to the folder of the file.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from lifecycle import hours
from lifecycle.errors import BadSettings


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Site(Section):
    """Where things live. `state` must be on a local disk of the service host; `shared` on the shared file system."""

    name: str = "our cluster"
    state: Path = Path("state")
    shared: Path = Path("shared")


class Gpu(Section):
    """One GPU type of the cluster. `memory` and `overhead` (engine, CUDA context; per GPU) in bytes."""

    memory: int = Field(gt=0)
    overhead: int = Field(default=4 * 2**30, ge=0)
    per_node: int = Field(default=8, gt=0)
    gres: str = ""  # name in --gres=gpu:<gres>:n; empty: --gres=gpu:n
    cpus: int = Field(default=8, ge=0)  # CPUs per GPU of a server; 0: not asked for
    host_memory: int = Field(default=32 * 2**30, ge=0)  # bytes of the node's own memory per GPU; 0: not asked for
    exclusive: bool = False  # a server that uses every GPU of its nodes asks for the nodes whole


class Guards(Section):
    """Rails that no plan crosses."""

    max_nodes: int = Field(default=8, gt=0)
    walltime_hours: float = Field(default=24, gt=0)
    warn_minutes: float = Field(default=0, ge=0)  # researchers are told so long before a job that preempts is submitted
    quiet_hours: tuple[str, ...] = ()  # nobody is preempted then: "22:00-06:00", "Mon-Fri 08:00-18:00"
    time_zone: str = ""  # of the hours, such as "Europe/Berlin"; empty: the service host's
    preemptions_a_day: int | None = Field(default=None, ge=0)  # jobs of others within 24 hours; left out: no limit
    never: tuple[str, ...] = ()  # partitions that are never submitted to, and whose jobs are never preempted

    @field_validator("quiet_hours")
    @classmethod
    def _are_hours(cls, windows: tuple[str, ...]) -> tuple[str, ...]:
        for window in windows:
            hours.read(window)
        return windows

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            return name if not name or ZoneInfo(name) else ""
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone, such as Europe/Berlin") from None


OWN_OPTIONS = frozenset(
    "job-name partition qos account nodes ntasks ntasks-per-node cpus-per-task mem gres time requeue no-requeue array "
    "open-mode output error comment wckey signal wrap parsable test-only hold wait dependency export chdir gpus "
    "gpus-per-node mem-per-cpu mem-per-gpu".split()
)
"""What a site may not add to its scripts: each has a key of its own, or the service would lose its job."""


class Cluster(Section):
    kind: Literal["slurm", "local"] = "slurm"
    partition: str = "serving"
    account: str = ""
    qos: str = "serving"
    light_qos: str = ""  # for jobs without a GPU (caching, the Gauntlet); empty: the partition's own
    light_partition: str = ""  # empty: as `partition`
    gpus: Mapping[str, Gpu] = Field(default_factory=dict)
    tensor_parallel_across_nodes: bool = False  # true where nodes are joined by NVLink or the like
    guards: Guards = Guards()
    command_timeout_s: float = Field(default=30, gt=0)
    local_slots: int = Field(default=4, gt=0)  # kind = "local": how many nodes we pretend to have
    reader: Literal["auto", "text", "json", "pyslurm"] = "auto"  # of the queue; auto: text, JSON where that is refused
    wckey: str = ""  # --wckey of every job, where the site books by it
    extra: tuple[str, ...] = ()  # more sbatch options for servers, such as "--constraint=nvlink"
    light_extra: tuple[str, ...] = ()  # the same for jobs without a GPU

    @field_validator("extra", "light_extra")
    @classmethod
    def _are_options(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        """One long option each, none that the templates or the settings say themselves."""
        for option in options:
            name = re.match(r"--([a-z][a-z0-9-]*)(=[^\n\r]+)?\Z", option)
            if name is None or not option.isprintable():
                raise ValueError(f"{option!r} is not one long sbatch option, such as --constraint=nvlink")
            if any(own.startswith(name[1]) for own in OWN_OPTIONS):  # sbatch takes --job-n for --job-name
                raise ValueError(f"--{name[1]} is written by dayzero itself")
        return options


class Runtime(Section):
    """Where an engine runs: `command` is what starts it (argv; a container's exec prefix, or a venv's program)."""

    engine: Literal["vllm", "transformers"]
    command: tuple[str, ...]
    args: tuple[str, ...] = ()
    environment: Mapping[str, str] = Field(default_factory=dict)
    start_timeout_s: float = Field(default=3600, gt=0)


class Images(Section):
    """What `dayzero image build` builds, for runtimes whose command holds {image}: the folder of the plan's image."""

    kind: Literal["venv", "apptainer", "enroot"] = "venv"
    runtime: str = "vllm"  # the runtime that a new image is tried with
    smoke_model: Path | None = None  # folder of a tiny chat model; an image that can't make it answer is never used
    smoke_context: int = Field(default=512, gt=0)  # tokens
    gpus: int = Field(default=1, ge=0)  # of the build job, for that test; 0: the engine runs without
    source: str = "vllm/vllm-openai:{ref}"  # containers: where from; {ref} is nightly, v0.11.0, ...
    index: str = "https://wheels.vllm.ai/{ref}"  # venv: wheels of nightly or of a commit; releases come from PyPI
    packages: tuple[str, ...] = ("vllm", "transformers")  # venv: what is installed; the first one at {ref}
    requirements: Path | None = None  # venv: install exactly these (pinned, with hashes), instead of packages
    base: Path | None = None  # venv: an environment that is there already; the image holds what comes on top
    hours: float = Field(default=4, gt=0)  # time limit of the build job
    keep: int = Field(default=3, ge=1)  # `dayzero image gc` leaves so many


class Serving(Section):
    ladder: tuple[str, ...] = ("vllm", "transformers")  # names of runtimes, tried in this order
    context: int = Field(default=32768, gt=0)
    concurrency: int = Field(default=16, gt=0)
    dry_run: bool = False  # during the download, try the first engine with dummy weights on GPUs that are free
    address: str = ""  # how nodes are reached from the gateway; empty: the node's own name


class Swap(Section):
    """One deployment takes the place of another: a growing share of the requests, and back at once when it is worse."""

    steps: tuple[int, ...] = (5, 25, 50, 100)  # percent of the requests; ends with 100
    step_minutes: float = Field(default=10, gt=0)  # how long each step lasts
    keep_minutes: float = Field(default=60, ge=0)  # the elder stays warm so long afterwards, for a rollback at once
    worse_errors: float = Field(default=0.02, ge=0, le=1)  # worse: its share of failed requests is higher by more
    worse_ttft: float = Field(default=1.5, ge=1)  # worse: its median time to the first byte, in the elder's
    judged_requests: int = Field(default=20, ge=1)  # of each, before times are compared
    judged_failures: int = Field(default=3, ge=1)  # fewer failures than this prove nothing

    @field_validator("steps")
    @classmethod
    def _grow_to_all(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if not steps or list(steps) != sorted(set(steps)) or steps[0] < 1 or steps[-1] != 100:
            raise ValueError("the steps must grow from at least 1 up to 100")
        return steps


class Quantize(Section):
    """Where llm-compressor runs, which makes smaller copies of weights. Without a command only official ones serve."""

    command: tuple[str, ...] = ()  # what starts a Python that has llm-compressor (argv; a container's exec prefix, too)
    gpus: int = Field(default=1, ge=0)  # of the job; 0: on CPUs, with the partition and QOS of jobs without a GPU
    qos: str = ""  # of a job with GPUs; empty: the partition's own, so that nobody is preempted for it
    host_memory: int = Field(default=0, ge=0)  # bytes of a node's memory; 0: host_memory of its GPUs, all of them
    cpus: int = Field(default=8, gt=0)  # of the job
    samples: int = Field(default=256, gt=0)  # prompts of the Gauntlet's suites that awq and gptq look at, at most
    sample_tokens: int = Field(default=1024, gt=0)  # of each prompt, at most
    hours: float = Field(default=12, gt=0)  # time limit of the job


class Hub(Section):
    endpoint: str = "https://huggingface.co"
    token: SecretStr | None = Field(default=None, description="HF_TOKEN")


class Weights(Section):
    """What `dayzero weights gc` leaves on the shared file system."""

    keep_free: int = Field(default=2**40, ge=0)  # bytes; the least recently used weights go until so much is free
    keep_days: float = Field(default=7, ge=0)  # weights that were used within this many days stay


Kind = Literal["model", "finetune", "quantized", "requantized", "adapter", "merge", "gguf"]


class Watch(Section):
    organizations: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    every_s: float = Field(default=600, gt=0)
    settle_s: float = Field(default=60, ge=0)  # no commit for this long before a release counts as complete
    announce_since_days: float = Field(default=0, ge=0)  # on the first look: announce what is younger than this
    kinds: tuple[Kind, ...] = ("model", "finetune", "quantized")  # announced; requantized: not by its org or a partner
    partners: tuple[str, ...] = ()  # their quantized variants of what we watch are official, and looked for
    ignore: tuple[str, ...] = ()  # names that are never announced; * stands for any letters: "*-draft", "acme/*-base"
    promise_hours: float = Field(default=24, gt=0)  # from publication to preview; cards show what is left of it
    warn_hours: tuple[float, ...] = (12, 20)  # the channel is warned so many hours after publication


class Github(Section):
    endpoint: str = "https://api.github.com"
    repositories: tuple[str, ...] = ("vllm-project/vllm", "huggingface/transformers")
    every_s: float = Field(default=600, gt=0)
    build_images: bool = True  # a release has an image built, where runtimes run in images
    token: SecretStr | None = Field(default=None, description="GITHUB_TOKEN")


class Slack(Section):
    """`approvers` are Slack user ids, e-mail addresses or @usergroups. Empty `channel`: no Slack."""

    channel: str = ""
    research_channel: str = ""  # whose jobs make room, and owners whom nobody knows; empty: as `channel`
    grading_channel: str = ""  # where people grade what the Gauntlet left open; empty: by CSV only
    graders: int = Field(default=2, ge=1)  # people who must agree before an answer counts as graded
    approvers: tuple[str, ...] = ()
    api_url: str = "https://slack.com/api/"
    listen: str = ""  # host:port for HTTP mode, behind your own HTTPS; empty: Socket Mode, which needs no address
    bot_token: SecretStr | None = Field(default=None, description="SLACK_BOT_TOKEN")
    app_token: SecretStr | None = Field(default=None, description="SLACK_APP_TOKEN")
    signing_secret: SecretStr | None = Field(default=None, description="SLACK_SIGNING_SECRET")


ALERTS = """release.offered deployment.passed deployment.failed deployment.undecided deployment.broke
deployment.promoted swap.took_over swap.halted swap.rolled_back image.failed note.promise note.variant note.update
note.retry_offered note.gone note.scheduler_silent note.scheduler_back note.watch_failed note.watch_back""".split()


class Mail(Section):
    host: str = ""  # empty: no mail
    port: int = Field(default=25, ge=1, le=65535)
    starttls: bool = False  # the line is encrypted after the greeting, as on port 587
    tls: bool = False  # it is encrypted from the first byte on, as on port 465
    ca_file: Path | None = None  # trust this certificate, too; empty: the system's
    sender: str = "dayzero@localhost"
    alerts_to: tuple[str, ...] = ()
    events: tuple[str, ...] = tuple(ALERTS)  # what alerts_to hear of, by the names that webhooks use, too
    user: str = ""
    password: SecretStr | None = Field(default=None, description="DAYZERO_MAIL_PASSWORD")

    @model_validator(mode="after")
    def _one_kind_of_tls(self) -> "Mail":
        if self.starttls and self.tls:
            raise ValueError("a line is encrypted by starttls (port 587) or by tls (port 465), not by both")
        return self


class Webhook(Section):
    """One receiver. `kind`: our own signed JSON, GitHub's repository_dispatch, GitLab's pipeline trigger."""

    url: str = Field(pattern="^https?://")
    kind: Literal["json", "github", "gitlab"] = "json"
    events: tuple[str, ...] = ("release.offered", "deployment.*")  # names of the catalogue, * for any letters
    ref: str = "main"  # kind = "gitlab": branch or tag of the pipeline


class Webhooks(Section):
    """Who else is told; the catalogue of events is in webhooks.md."""

    to: Mapping[str, Webhook] = Field(default_factory=dict)
    attempts: int = Field(default=10, gt=0)  # then it is a dead letter
    secret: SecretStr | None = Field(default=None, description="DAYZERO_WEBHOOK_SECRET")
    github_token: SecretStr | None = Field(default=None, description="DAYZERO_DISPATCH_TOKEN")
    gitlab_token: SecretStr | None = Field(default=None, description="GITLAB_TRIGGER_TOKEN")


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


class Gauntlet(Section):
    suites: Path | None = None  # empty: the suites that ship
    shards: int = Field(default=4, gt=0)
    judge: str = ""  # a model of the gateway; empty: judged questions wait for a person
    second_judge: str = ""  # another one; where the two differ, a person decides
    concurrency: int = Field(default=64, gt=0)  # requests at once of each shard, at most; it finds out how many do


class People(Section):
    """Slurm user → e-mail address, for users whose address the domain does not give."""

    mail_domain: str = ""
    emails: Mapping[str, str] = Field(default_factory=dict)


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
