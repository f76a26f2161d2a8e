"""What a person does: say, command, click, submit, close, open the home tab; each returns what that person sees."""

import contextlib
import re
import time

from lab.slack import views
from lab.slack.elements import collect, incomplete, interactive, state_of
from lab.slack.messages import content, post, public, send_event, top_level
from lab.slack.refusals import Refusal
from lab.slack.response_urls import answer, new_response_url
from lab.slack.seed import APP_ID, SLACKBOT_ID, TEAM_ID
from lab.slack.sockets import NotAcknowledged
from lab.slack.team import Team

HANDLE = re.compile(r"(?<![\w<@#!])([@#])([a-z0-9][a-z0-9._-]*)")
WEB = re.compile(r"(?<![<\w|])(https?://[^\s<>|]+)")


def failed(error: str, said: str, **more: object) -> dict:
    return {"ok": False, "error": error, "text": said, **more}


def say(team: Team, user: dict, args: dict) -> dict:
    """Type a message; `thread_ts` replies in a thread. Handles become mentions, as Slack's composer does."""
    channel = team.channel(args["channel"], seen_by=user["id"])
    said = content(team, {"text": typed(team, args["text"])})
    message = post(team, channel, user["id"], said, thread_ts=args.get("thread_ts"))
    return {"ok": True, "message": message}


def typed(team: Team, text: str) -> str:
    """What the composer sends for what was typed: escaped, with live mentions, channels and links."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = WEB.sub(r"<\1>", text)
    people = {user["name"]: f"<@{user['id']}>" for user in team.users.values()}
    people.update({group.handle: f"<!subteam^{group.id}>" for group in team.seed.groups})
    people.update({word: f"<!{word}>" for word in ("channel", "here", "everyone")})
    places = {one["name"]: f"<#{one['id']}|{one['name']}>" for one in team.channels.values() if one["name"]}

    def live(match: re.Match) -> str:
        known = people if match[1] == "@" else places
        return known.get(match[2], match[0])

    return HANDLE.sub(live, text)


async def command(team: Team, user: dict, args: dict) -> dict:
    """Run a slash command. What the app answers in its acknowledgement comes back as `message`, an ephemeral."""
    channel = team.channel(args["channel"], seen_by=user["id"])
    name = "/" + args["command"].removeprefix("/")
    if name not in [one.name for one in team.seed.commands]:
        said = f"{name} is not a valid command. In Slack, all commands start with “/”: the app registers its own."
        return whisper_failure(team, user, channel, "invalid_command", said)
    payload = {
        "token": "lab",
        "team_id": TEAM_ID,
        "team_domain": team.seed.team,
        "channel_id": channel["id"],
        "channel_name": channel["name"] or "directmessage",
        "user_id": user["id"],
        "user_name": user["name"],
        "command": name,
        "text": args.get("text", ""),
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": new_response_url(team, user["id"], channel["id"]),
        "trigger_id": views.new_trigger(team, user["id"]),
    }
    try:
        reply = await team.sockets.ask("slash_commands", payload)
    except NotAcknowledged as missed:
        said = f"{name} failed with the error “{missed.reason}”"
        return whisper_failure(team, user, channel, missed.reason, said)
    reply = {"text": reply} if isinstance(reply, str) else reply or {}
    if not any(reply.get(key) for key in ("text", "blocks", "attachments")):
        return {"ok": True, "message": None}
    bound = {"user": user["id"], "channel": channel["id"], "message": None, "thread_ts": None}
    try:
        return {"ok": True, "message": answer(team, bound, reply)}
    except Refusal as refusal:
        said = f"{name} failed with the error “{refusal.code}”"
        return whisper_failure(team, user, channel, refusal.code, said, details=refusal.details)


def whisper_failure(team: Team, user: dict, channel: dict, error: str, said: str, **more: object) -> dict:
    message = post(team, channel, SLACKBOT_ID, content(team, {"text": said}), ephemeral_to=user["id"])
    return failed(error, said, message=message, **more)


async def click(team: Team, user: dict, args: dict) -> dict:
    """Press a button or make a choice. `action_id` is looked for in the message `ts` of `channel`, else in the open
    modal (`where: modal`), the home tab (`where: home`), else in the newest message that has it.

    `value`: the option(s) chosen or the text typed; `values`: other inputs of the same message, by block or action id.
    """
    found = find(team, user, args)
    if found is None:
        return failed("no_such_action", f"There is no {args['action_id']!r} to click for {user['name']} here.")
    place, block, element = found
    blocks = place.get("blocks") or []
    payload = envelope(team, user, "block_actions")
    try:
        values = collect(blocks, args.get("values") or {})
        payload["actions"] = [action_of(team, block, element, args.get("value"))]
    except ValueError as wrong:
        return failed("invalid_choice", str(wrong))
    payload["state"] = {"values": values}
    if "ts" in place:
        payload.update(message_context(team, user, place))
    else:
        payload["view"] = {**place, "state": payload.pop("state")}
        payload["container"] = {"type": "view", "view_id": place["id"]}
    try:
        await team.sockets.ask("interactive", payload)
    except NotAcknowledged as missed:
        return failed(missed.reason, f"This app did not respond in time ({missed.reason}).")
    return {"ok": True, "url": element.get("url")}


def find(team: Team, user: dict, args: dict) -> tuple[dict, dict, dict] | None:
    for place in places(team, user, args):
        for block, element in interactive(place.get("blocks"), place.get("attachments")):
            if element["action_id"] == args["action_id"] and args.get("block_id") in (None, block["block_id"]):
                return place, block, element
    return None


def places(team: Team, user: dict, args: dict):
    """Where the thing to click may be, best place first."""
    where, ts = args.get("where"), args.get("ts")
    modal, home = views.current(team, user["id"]), team.homes.get(user["id"])
    if where == "modal" or (not where and not args.get("channel")):
        yield from [modal] if modal else []
    if where in ("modal", "home"):
        yield from [home] if home and where == "home" else []
        return
    seen = [one for one in team.channels.values() if one["kind"] == "channel" or user["id"] in one["members"]]
    if args.get("channel"):
        seen = [team.channel(args["channel"], seen_by=user["id"])]
    messages = [message for channel in seen for message in team.messages[channel["id"]].values()]
    messages += [one for one in team.ephemeral.values() if one["ephemeral_to"] == user["id"]]
    ids = {channel["id"] for channel in seen}
    messages = [one for one in messages if one["channel"] in ids and ts in (None, one["ts"])]
    yield from sorted(messages, key=lambda one: one["ts"], reverse=True)
    if not where and not args.get("channel") and home:
        yield home


def envelope(team: Team, user: dict, kind: str) -> dict:
    return {
        "type": kind,
        "token": "lab",
        "api_app_id": APP_ID,
        "team": {"id": TEAM_ID, "domain": team.seed.team},
        "user": {"id": user["id"], "username": user["name"], "name": user["name"], "team_id": TEAM_ID},
        "enterprise": None,
        "is_enterprise_install": False,
        "trigger_id": views.new_trigger(team, user["id"]),
    }


def action_of(team: Team, block: dict, element: dict, chosen: object) -> dict:
    action = {"type": element["type"], "action_id": element["action_id"], "block_id": block["block_id"]}
    action["action_ts"] = f"{time.time():.6f}"
    if element["type"] == "button":
        action["text"] = element["text"]
        action.update({key: element[key] for key in ("value", "style") if key in element})
        return action
    return {**action, **state_of(element, chosen)}


def message_context(team: Team, user: dict, message: dict) -> dict:
    channel = team.channels[message["channel"]]
    container = {"type": "message", "message_ts": message["ts"], "channel_id": channel["id"]}
    container["is_ephemeral"] = bool(message.get("ephemeral_to"))
    if message.get("thread_ts"):
        container["thread_ts"] = message["thread_ts"]
    return {
        "container": container,
        "channel": {"id": channel["id"], "name": channel["name"] or "directmessage"},
        "message": public(message, metadata=True),
        "response_url": new_response_url(team, user["id"], channel["id"], message),
    }


async def submit(team: Team, user: dict, args: dict) -> dict:
    """Press the submit button of the open modal with `values`, by block id or action id.

    Field errors come back as `errors`, {block_id: sentence}, from Slack's own checks or from the app.
    """
    view = views.current(team, user["id"])
    if view is None or args.get("view_id") not in (None, view["id"]):
        return failed("no_open_modal", f"{user['name']} has no such modal open.")
    try:
        values = collect(view["blocks"], args.get("values") or {})
    except ValueError as wrong:
        return failed("invalid_choice", str(wrong))
    errors = incomplete(view["blocks"], values)
    if errors:
        return failed("incomplete", "Some fields need another look.", errors=errors)
    payload = envelope(team, user, "view_submission")
    payload.update(view={**view, "state": {"values": values}}, response_urls=[])
    try:
        reply = await team.sockets.ask("interactive", payload)
        errors = views.apply_answer(team, user["id"], view, reply)
    except NotAcknowledged as missed:
        return failed(missed.reason, "We had some trouble connecting. Try again?")
    except Refusal as refusal:
        return failed(refusal.code, "We had some trouble connecting. Try again?", details=refusal.details)
    if errors:
        return failed("field_errors", "Some fields need another look.", errors=errors)
    return {"ok": True, "view": views.current(team, user["id"])}


async def close(team: Team, user: dict, args: dict) -> dict:
    """Close the top modal (with `all` the whole stack); views with notify_on_close tell the app."""
    top = views.current(team, user["id"])
    if top is None:
        return failed("no_open_modal", f"{user['name']} has no modal open.")
    clear = bool(args.get("all") or top.get("clear_on_close"))
    for view in views.close_top(team, user["id"], clear):
        if view["notify_on_close"]:
            payload = {**envelope(team, user, "view_closed"), "view": view, "is_cleared": clear}
            with contextlib.suppress(NotAcknowledged):  # as in Slack: nobody waits for this one
                await team.sockets.ask("interactive", payload)
    return {"ok": True, "view": views.current(team, user["id"])}


def open_home(team: Team, user: dict, args: dict) -> dict:
    """Look at the app's Home tab; the app hears app_home_opened."""
    home = team.homes.get(user["id"])
    event = {"type": "app_home_opened", "user": user["id"], "channel": team.dm(user["id"])["id"], "tab": "home"}
    event["event_ts"] = f"{time.time():.6f}"
    if home:
        event["view"] = home
    send_event(team, event, "app_home_opened")
    return {"ok": True, "view": home}


def react(team: Team, user: dict, args: dict) -> dict:
    """Add a reaction, or take the own one back."""
    channel = team.channel(args["channel"], seen_by=user["id"])
    message = team.message(channel["id"], args["ts"])
    reactions = {one["name"]: list(one["users"]) for one in message.get("reactions", [])}
    users = reactions.setdefault(args["name"].strip(":"), [])
    (users.remove if user["id"] in users else users.append)(user["id"])
    kept = [{"name": name, "users": ids, "count": len(ids)} for name, ids in reactions.items() if ids]
    team.keep({**message, "reactions": kept})
    return {"ok": True}


def newest(team: Team, user: dict, channel: dict) -> list[dict]:
    """A channel as this person sees it: top-level messages and what only they may see, oldest first."""
    whispered = [
        one
        for one in team.ephemeral.values()
        if one["channel"] == channel["id"] and one["ephemeral_to"] == user["id"] and not one.get("thread_ts")
    ]
    return sorted([*top_level(team, channel["id"]), *whispered], key=lambda one: one["ts"])


ACTS = {
    "say": say,
    "command": command,
    "click": click,
    "submit": submit,
    "close": close,
    "open_home": open_home,
    "react": react,
}
