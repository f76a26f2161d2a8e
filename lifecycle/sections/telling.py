"""Who is told: Slack, mail, webhooks, and the addresses of the people whose jobs make room."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from lifecycle.sections.section import Section


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


class People(Section):
    """From a Slurm user to an e-mail address, and by that to the person in Slack: `emails`, else what `command` prints,
    else the domain, else the comment in the system's directory (`getent passwd`)."""

    emails: Mapping[str, str] = Field(default_factory=dict)  # Slurm user → address
    command: tuple[str, ...] = ()  # a program and its words, {user} in them; the first address that it prints counts
    mail_domain: str = ""  # example.org: user@example.org, for whoever the others don't know
