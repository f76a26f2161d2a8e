"""chat.*, reactions.*: what the app says."""

from lab.slack.arguments import flag, need
from lab.slack.messages import change, content, post, public, remove
from lab.slack.methods import method
from lab.slack.refusals import Refusal
from lab.slack.seed import BOT_USER_ID
from lab.slack.team import Team


def writable(team: Team, args: dict) -> dict:
    need(args, "channel")
    channel = team.channel(args["channel"])
    if BOT_USER_ID not in channel["members"]:
        raise Refusal("not_in_channel")
    return channel


@method("chat.postMessage")
def post_message(team: Team, args: dict) -> dict:
    channel = writable(team, args)
    said = linked(team, args, content(team, args))
    more = {"reply_broadcast": True} if flag(args, "reply_broadcast") and args.get("thread_ts") else {}
    message = post(team, channel, BOT_USER_ID, said, thread_ts=args.get("thread_ts"), **more)
    return {"channel": channel["id"], "ts": message["ts"], "message": public(message, metadata=True)}


def linked(team: Team, args: dict, said: dict) -> dict:
    """With link_names or parse=full, a plain @channel in the text is live, as in Slack."""
    if not (flag(args, "link_names") or args.get("parse") == "full"):
        return said
    text = said["text"]
    for word in ("channel", "here", "everyone"):
        text = text.replace(f"@{word}", f"<!{word}>")
    for user in team.users.values():
        text = text.replace(f"@{user['name']}", f"<@{user['id']}>")
    return {**said, "text": text}


@method("chat.postEphemeral")
def post_ephemeral(team: Team, args: dict) -> dict:
    need(args, "user")
    channel = writable(team, args)
    user = team.user(args["user"])
    if user["id"] not in channel["members"]:
        raise Refusal("user_not_in_channel")
    said = content(team, args)
    message = post(team, channel, BOT_USER_ID, said, thread_ts=args.get("thread_ts"), ephemeral_to=user["id"])
    return {"message_ts": message["ts"]}


@method("chat.update")
def update(team: Team, args: dict) -> dict:
    need(args, "channel", "ts")
    channel = team.channel(args["channel"])
    message = team.message(channel["id"], args["ts"])
    if message["user"] != BOT_USER_ID:
        raise Refusal("cant_update_message")
    given = {name for name in ("text", "blocks", "attachments", "metadata") if name in args}
    message = change(team, message, content(team, args), given)
    shown = public(message, metadata=True)
    return {"channel": channel["id"], "ts": message["ts"], "text": message["text"], "message": shown}


@method("chat.delete")
def delete(team: Team, args: dict) -> dict:
    need(args, "channel", "ts")
    channel = team.channel(args["channel"])
    message = team.message(channel["id"], args["ts"])
    if message["user"] != BOT_USER_ID:
        raise Refusal("cant_delete_message")
    remove(team, message)
    return {"channel": channel["id"], "ts": message["ts"]}


@method("chat.getPermalink")
def permalink(team: Team, args: dict) -> dict:
    need(args, "channel", "message_ts")
    channel = team.channel(args["channel"])
    message = team.message(channel["id"], args["message_ts"])
    link = f"{team.url}/archives/{channel['id']}/p{message['ts'].replace('.', '')}"
    if message.get("thread_ts", message["ts"]) != message["ts"]:
        link += f"?thread_ts={message['thread_ts']}&cid={channel['id']}"
    return {"channel": channel["id"], "permalink": link}


@method("reactions.add")
def add_reaction(team: Team, args: dict) -> dict:
    need(args, "channel", "timestamp", "name")
    message = team.message(team.channel(args["channel"])["id"], args["timestamp"])
    reactions = {one["name"]: one["users"] for one in message.get("reactions", [])}
    users = reactions.setdefault(args["name"].strip(":"), [])
    if BOT_USER_ID in users:
        raise Refusal("already_reacted")
    users.append(BOT_USER_ID)
    kept = [{"name": name, "users": ids, "count": len(ids)} for name, ids in reactions.items()]
    team.keep({**message, "reactions": kept})
    return {}


@method("reactions.remove")
def remove_reaction(team: Team, args: dict) -> dict:
    need(args, "channel", "timestamp", "name")
    message = team.message(team.channel(args["channel"])["id"], args["timestamp"])
    reactions = {one["name"]: one["users"] for one in message.get("reactions", [])}
    if BOT_USER_ID not in reactions.get(args["name"], []):
        raise Refusal("no_reaction")
    reactions[args["name"]].remove(BOT_USER_ID)
    kept = [{"name": name, "users": ids, "count": len(ids)} for name, ids in reactions.items() if ids]
    team.keep({**message, "reactions": kept})
    return {}
