"""The Slack app's manifest, from what the bot calls and listens to: for Socket Mode, or for requests by HTTP."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from bot.commands import HELP
from lifecycle.errors import Refused

PATH = "/slack/events"
"""Where the bot takes requests by HTTP: commands, clicks and events alike."""

SCOPES = {
    "auth.test": (),
    "apps.connections.open": (),  # the app-level token's connections:write
    "chat.postMessage": ("chat:write",),
    "chat.update": ("chat:write",),
    "conversations.list": ("channels:read", "groups:read"),
    "conversations.history": ("channels:history", "groups:history", "metadata.message:read"),
    "conversations.replies": ("channels:history", "groups:history", "metadata.message:read"),
    "conversations.open": ("im:write",),
    "views.open": (),
    "views.publish": (),
    "files_upload_v2": ("files:write",),
    "users.lookupByEmail": ("users:read", "users:read.email"),
    "usergroups.list": ("usergroups:read",),
    "usergroups.users.list": ("usergroups:read",),
    "slash commands": ("commands",),
    "app_mention": ("app_mentions:read",),
}
"""What the bot calls → the scopes that Slack wants for it."""

EVENTS = ("app_home_opened", "app_mention", "message.channels", "message.groups")


def manifest(http: str = "") -> dict[str, Any]:
    """As Slack takes it. `http`: the site's own HTTPS address in front of slack.listen; empty: Socket Mode.

    Refused when Slack could not send to that address.
    """
    address = _endpoint(http) if http else ""
    url, request_url = ({"url": address}, {"request_url": address}) if address else ({}, {})
    return {
        "display_information": {
            "name": "dayzero",
            "description": "New open-weights models, served and tested the day they are published",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": "dayzero", "always_online": True},
            "slash_commands": [{**_command(name), **url, "should_escape": False} for name in HELP],
        },
        "oauth_config": {"scopes": {"bot": sorted({scope for wanted in SCOPES.values() for scope in wanted})}},
        "settings": {
            "event_subscriptions": {**request_url, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **request_url},
            "org_deploy_enabled": False,
            "socket_mode_enabled": not address,
            "token_rotation_enabled": False,
        },
    }


def _command(name: str) -> dict[str, str]:
    usage, _, about = HELP[name].partition("`: ")
    about = about.partition(".")[0].replace("`", "")
    return {
        "command": name,
        "description": f"{about[0].upper()}{about[1:]}",
        "usage_hint": usage.strip("`").removeprefix(name).strip(),
    }


def _endpoint(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        advice = "Give the address of the HTTPS proxy in front of slack.listen, such as https://dayzero.example.org."
        raise Refused(f"Slack can't send to {address!r}.", advice)
    return address.rstrip("/").removesuffix(PATH) + PATH


def as_yaml(data: dict[str, Any]) -> str:
    """Mappings and lists of scalars or mappings; text in JSON's quotes, which YAML reads."""
    return "\n".join(_lines(data, "")) + "\n"


def _lines(data: Any, indent: str) -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{key}:"
            for item in value:
                yield from _item(item, indent + "  ")
        else:
            yield f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}"


def _item(item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, dict):
        first, *rest = _lines(item, indent + "  ")
        yield f"{indent}- {first.strip()}"
        yield from rest
    else:
        yield f"{indent}- {json.dumps(item)}"
