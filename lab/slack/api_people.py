"""auth, team, bots, users and usergroups: who is who; and the address of the socket."""

from lab.slack.arguments import flag, need, page
from lab.slack.methods import method
from lab.slack.refusals import Refusal
from lab.slack.seed import APP_ID, BOT_ID, BOT_USER_ID, TEAM_ID, Group
from lab.slack.team import Team


@method("apps.connections.open", token="app")
def connect(team: Team, args: dict) -> dict:
    address = team.url.replace("http", "ws", 1)
    return {"url": f"{address}/link/?ticket={team.sockets.ticket()}&app_id={APP_ID}"}


@method("auth.test", token="any")
def auth(team: Team, args: dict) -> dict:
    seed = team.seed
    who = {"user": seed.bot_name, "team_id": TEAM_ID, "user_id": BOT_USER_ID, "bot_id": BOT_ID}
    return {"url": team.url + "/", "team": seed.team, **who, "is_enterprise_install": False}


@method("api.test", token="any")
def api_test(team: Team, args: dict) -> dict:
    return {"args": args}


@method("team.info")
def team_info(team: Team, args: dict) -> dict:
    return {"team": {"id": TEAM_ID, "name": team.seed.team, "domain": team.seed.team, "email_domain": "example.com"}}


@method("bots.info")
def bot_info(team: Team, args: dict) -> dict:
    if args.get("bot") not in (None, "", BOT_ID):
        raise Refusal("bot_not_found")
    bot = {"id": BOT_ID, "deleted": False, "name": team.seed.bot_name, "app_id": APP_ID, "user_id": BOT_USER_ID}
    return {"bot": bot}


@method("users.info")
def user_info(team: Team, args: dict) -> dict:
    need(args, "user")
    if args["user"] not in team.users:
        raise Refusal("user_not_found")
    return {"user": team.users[args["user"]]}


@method("users.list")
def user_list(team: Team, args: dict) -> dict:
    rows, cursor = page(args, list(team.users.values()), 1000)
    return {"members": rows, "response_metadata": cursor}


@method("users.lookupByEmail")
def by_email(team: Team, args: dict) -> dict:
    need(args, "email")
    for user in team.users.values():
        if user["profile"].get("email", "").lower() == str(args["email"]).lower() != "":
            return {"user": user}
    raise Refusal("users_not_found")


def group_members(team: Team, group: Group) -> list[str]:
    return [user["id"] for user in team.users.values() if user["name"] in group.members]


@method("usergroups.list")
def groups(team: Team, args: dict) -> dict:
    rows = []
    for group in team.seed.groups:
        row = {"id": group.id, "team_id": TEAM_ID, "is_usergroup": True, "handle": group.handle, "date_delete": 0}
        row.update(name=group.name or group.handle, user_count=len(group.members))
        if flag(args, "include_users"):
            row["users"] = group_members(team, group)
        rows.append(row)
    return {"usergroups": rows}


@method("usergroups.users.list")
def group_users(team: Team, args: dict) -> dict:
    need(args, "usergroup")
    for group in team.seed.groups:
        if group.id == args["usergroup"]:
            return {"users": group_members(team, group)}
    raise Refusal("no_such_subteam")
