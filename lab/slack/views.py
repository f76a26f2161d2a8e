"""Modals and home tabs: triggers, the stack of up to three views, updates and what an answer to a submission does."""

import time
import uuid

from lab.slack.blocks import check_view
from lab.slack.elements import with_ids
from lab.slack.refusals import Refusal
from lab.slack.seed import APP_ID, BOT_ID, TEAM_ID
from lab.slack.team import Team

STACK_LIMIT = 3
SIZE_LIMIT = 250_000


def new_trigger(team: Team, user: str) -> str:
    """A trigger that opens one view for this user, for three seconds."""
    name = f"{time.time_ns()}.{TEAM_ID}.{uuid.uuid4().hex}"
    team.triggers[name] = {"user": user, "until": time.monotonic() + team.seed.trigger_lives, "used": False}
    return name


def use_trigger(team: Team, name: object) -> str:
    """The user behind a trigger, which is spent by this; Refusal as Slack's three ways to be too late."""
    trigger = team.triggers.get(str(name))
    if trigger is None:
        raise Refusal("invalid_trigger_id")
    if trigger["used"]:
        raise Refusal("exchanged_trigger_id")
    if trigger["until"] < time.monotonic():
        raise Refusal("expired_trigger_id")
    trigger["used"] = True
    return trigger["user"]


def checked(view: object, kind: str) -> dict:
    if not isinstance(view, dict):
        raise Refusal("invalid_arguments", ["[ERROR] missing required field: view"])
    wrong = check_view(view)
    if not wrong and view["type"] != kind:
        wrong = [f"[ERROR] the view must be a {kind} [json-pointer:/view/type]"]
    if wrong:
        raise Refusal("invalid_arguments", wrong)
    if len(str(view)) > SIZE_LIMIT:
        raise Refusal("view_too_large")
    return view


def made(team: Team, view: dict, previous: dict | None = None, same: dict | None = None) -> dict:
    """A full view object: new, on top of `previous`, or the next version of `same`."""
    view_id = same["id"] if same else team.new_id("V")
    return {
        "private_metadata": "",
        "callback_id": "",
        "external_id": "",
        "clear_on_close": False,
        "notify_on_close": False,
        "close": None,
        "submit": None,
        **view,
        "blocks": with_ids(view["blocks"], team.block_id),
        "id": view_id,
        "team_id": TEAM_ID,
        "app_id": APP_ID,
        "app_installed_team_id": TEAM_ID,
        "bot_id": BOT_ID,
        "hash": f"{time.time():.6f}.{uuid.uuid4().hex[:8]}",
        "state": {"values": {}},
        "root_view_id": same["root_view_id"] if same else (previous["root_view_id"] if previous else view_id),
        "previous_view_id": same["previous_view_id"] if same else (previous and previous["id"]),
    }


def all_open(team: Team):
    return ((user, view) for user, stack in team.modals.items() for view in stack)


def unique_external_id(team: Team, view: dict, besides: dict | None = None) -> None:
    name = view.get("external_id")
    if name and any(one["external_id"] == name and one is not besides for _, one in all_open(team)):
        raise Refusal("duplicate_external_id")


def open_view(team: Team, args: dict) -> dict:
    """views.open: a new root, in place of whatever this user had open."""
    view = checked(args.get("view"), "modal")
    unique_external_id(team, view)
    user = use_trigger(team, args.get("trigger_id"))
    team.modals[user] = [made(team, view)]
    show(team, user)
    return team.modals[user][-1]


def push_view(team: Team, args: dict) -> dict:
    """views.push: on top of what is open; three deep at most."""
    view = checked(args.get("view"), "modal")
    unique_external_id(team, view)
    user = use_trigger(team, args.get("trigger_id"))
    return pushed(team, user, view)


def pushed(team: Team, user: str, view: dict) -> dict:
    stack = team.modals.setdefault(user, [])
    if len(stack) >= STACK_LIMIT:
        raise Refusal("push_limit_reached")
    stack.append(made(team, view, previous=stack[-1] if stack else None))
    show(team, user)
    return stack[-1]


def update_view(team: Team, args: dict) -> dict:
    """views.update by view_id or external_id; with `hash`, only if nobody was faster."""
    view_id, external_id = args.get("view_id"), args.get("external_id")
    named = [
        (user, view)
        for user, view in all_open(team)
        if view_id == view["id"] or (external_id and external_id == view["external_id"])
    ]
    if not named:
        raise Refusal("not_found")
    user, view = named[0]
    fresh = checked(args.get("view"), "modal")
    if args.get("hash") and args["hash"] != view["hash"]:
        raise Refusal("hash_conflict")
    unique_external_id(team, fresh, besides=view)
    return replaced(team, user, view, fresh)


def replaced(team: Team, user: str, view: dict, fresh: dict) -> dict:
    stack = team.modals[user]
    place = stack.index(view)
    stack[place] = made(team, fresh, same=view)
    show(team, user)
    return stack[place]


def publish_view(team: Team, args: dict) -> dict:
    """views.publish: a user's home tab."""
    user = team.user(args.get("user_id") or "")
    old = team.homes.get(user["id"])
    if args.get("hash") and old and args["hash"] != old["hash"]:
        raise Refusal("hash_conflict")
    home = made(team, checked(args.get("view"), "home"), same=old)
    team.homes[user["id"]] = home
    team.store.put("home", user["id"], home)
    team.feed.tell("home", [user["id"]], view=home)
    return home


def current(team: Team, user: str) -> dict | None:
    stack = team.modals.get(user)
    return stack[-1] if stack else None


def show(team: Team, user: str) -> None:
    team.feed.tell("modal", [user], view=current(team, user))


def close_top(team: Team, user: str, clear: bool = False) -> list[dict]:
    """Take the top view (or with `clear` all) off this user's screen; returns what went, top first."""
    stack = team.modals.get(user, [])
    gone = [stack.pop() for _ in range(len(stack) if clear else min(1, len(stack)))]
    show(team, user)
    return gone


def apply_answer(team: Team, user: str, view: dict, answer: object) -> dict[str, str]:
    """Do what the acknowledgement of a view_submission says; returns field errors, {block_id: sentence}.

    Refusal invalid_arguments when the app answered with something Slack could not use.
    """
    if not isinstance(answer, dict) or not answer.get("response_action"):
        if view in team.modals.get(user, []):
            while current(team, user) is not view:
                team.modals[user].pop()
            close_top(team, user)
        return {}
    action = answer["response_action"]
    if action == "errors":
        errors = answer.get("errors") or {}
        names = {block["block_id"] for block in view["blocks"] if block["type"] == "input"}
        if not errors or not set(errors) <= names:
            raise Refusal("invalid_arguments", [f"[ERROR] errors must name input blocks of this view: {sorted(names)}"])
        return {name: str(said) for name, said in errors.items()}
    if action == "update":
        replaced(team, user, view, checked(answer.get("view"), "modal"))
    elif action == "push":
        pushed(team, user, checked(answer.get("view"), "modal"))
    elif action == "clear":
        close_top(team, user, clear=True)
    else:
        raise Refusal("invalid_arguments", [f"[ERROR] no response_action called {action!r}"])
    return {}
