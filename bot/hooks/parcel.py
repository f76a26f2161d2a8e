"""From an event to an HTTP request: our own signed JSON, GitHub's repository_dispatch, GitLab's trigger. Pure."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from bot import stories
from lifecycle.errors import BadSettings
from lifecycle.records import Deployment, Event, Release
from lifecycle.sections.telling import Webhook, Webhooks

VERSION = 1
SIGNATURE, TIMESTAMP = "X-Dayzero-Signature", "X-Dayzero-Timestamp"


@dataclass(frozen=True)
class Parcel:
    """What is POSTed. `headers` hold secrets: never log them."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(repr=False)


def payload(event: Event, deployment: Deployment | None, release: Release | None) -> dict[str, Any]:
    """What every kind of hook tells, flat: strings, numbers and nulls."""
    sentence = stories.line(event, deployment) if deployment else None
    if event.kind in stories.NOTICES:
        sentence = stories.NOTICES[event.kind](event)
    return {
        "v": VERSION,
        "id": event.id,
        "event": event.kind,
        "at": event.at,
        "by": event.by,
        "state": event.new or None,
        "model": deployment.model if deployment else release.repo if release else None,
        "revision": deployment.revision if deployment else release.revision if release else None,
        "deployment": event.deployment_id,
        "release": event.release_id,
        "sentence": sentence or event.detail.get("sentence"),
    }


def parcel(name: str, hook: Webhook, secrets: Webhooks, told: Mapping[str, Any], now: float) -> Parcel:
    """BadSettings when the secret that this kind of hook needs is not there."""
    return {"json": _json, "github": _github, "gitlab": _gitlab}[hook.kind](name, hook, secrets, told, now)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """v1= and the hex HMAC-SHA256 of `<timestamp>.<body>`."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"v1={digest}"


def _json(name: str, hook: Webhook, secrets: Webhooks, told: Mapping[str, Any], now: float) -> Parcel:
    if secrets.secret is None:
        raise BadSettings(f"webhooks.to.{name} can't be signed.", "Set DAYZERO_WEBHOOK_SECRET in the environment.")
    body = json.dumps(told, separators=(",", ":")).encode()
    timestamp = str(int(now))
    headers = {
        "Content-Type": "application/json",
        "X-Dayzero-Event": told["event"],
        "X-Dayzero-Delivery": f"{name}-{told['id']}",
        TIMESTAMP: timestamp,
        SIGNATURE: sign(secrets.secret.get_secret_value(), timestamp, body),
    }
    return Parcel(hook.url, body, headers)


def _github(name: str, hook: Webhook, secrets: Webhooks, told: Mapping[str, Any], now: float) -> Parcel:
    """GitHub takes ten properties at most, and an event type of at most 100 characters."""
    if secrets.github_token is None:
        raise BadSettings(f"webhooks.to.{name} has no token.", "Set DAYZERO_DISPATCH_TOKEN in the environment.")
    keys = ("id", "event", "at", "by", "state", "model", "revision", "deployment", "release", "sentence")
    body = {"event_type": f"dayzero.{told['event']}", "client_payload": {key: told[key] for key in keys}}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        "Authorization": f"Bearer {secrets.github_token.get_secret_value()}",
    }
    return Parcel(hook.url, json.dumps(body).encode(), headers)


def _gitlab(name: str, hook: Webhook, secrets: Webhooks, told: Mapping[str, Any], now: float) -> Parcel:
    """A pipeline of `ref` with one variable for each fact: DAYZERO_EVENT, DAYZERO_MODEL, ..."""
    if secrets.gitlab_token is None:
        raise BadSettings(f"webhooks.to.{name} has no token.", "Set GITLAB_TRIGGER_TOKEN in the environment.")
    form = {"token": secrets.gitlab_token.get_secret_value(), "ref": hook.ref}
    form |= {f"variables[DAYZERO_{key.upper()}]": str(value) for key, value in told.items() if value is not None}
    return Parcel(hook.url, urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"})
