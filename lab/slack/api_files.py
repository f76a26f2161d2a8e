"""files.*: the three steps of an upload, and reading it back."""

import mimetypes

from lab.slack.arguments import need, page
from lab.slack.messages import content, post
from lab.slack.methods import method
from lab.slack.refusals import Refusal
from lab.slack.seed import BOT_USER_ID
from lab.slack.team import Team, now

SIZE_LIMIT = 64 << 20


@method("files.getUploadURLExternal")
def upload_url(team: Team, args: dict) -> dict:
    need(args, "filename", "length")
    length = int(args["length"]) if str(args["length"]).isdigit() else 0
    if not 0 < length <= SIZE_LIMIT:
        raise Refusal("invalid_arguments", [f"[ERROR] length must be 1 to {SIZE_LIMIT} bytes"])
    name = str(args["filename"]).replace("/", "_").replace("\\", "_")
    file_id = team.new_id("F")
    mime = mimetypes.guess_type(name)[0] or "application/octet-stream"
    team.files[file_id] = {
        "id": file_id,
        "name": name,
        "title": name,
        "size": length,
        "mimetype": mime,
        "filetype": name.rpartition(".")[2].lower() if "." in name else "binary",
        "alt_txt": args.get("alt_txt") or "",
        "user": BOT_USER_ID,
        "created": now(),
        "timestamp": now(),
        "mode": "hosted",
        "url_private": f"{team.url}/files-pri/{file_id}/{name}",
        "url_private_download": f"{team.url}/files-pri/{file_id}/download/{name}",
        "permalink": f"{team.url}/files/{BOT_USER_ID}/{file_id}/{name}",
        "channels": [],
        "state": "promised",
    }
    return {"upload_url": f"{team.url}/upload/v1/{file_id}", "file_id": file_id}


def receive(team: Team, file_id: str, data: bytes) -> None:
    """Keep the bytes of a promised file; Refusal when it is unknown or the length is not the one announced."""
    file = team.files.get(file_id)
    if file is None or file["state"] == "complete":
        raise Refusal("file_not_found")
    if len(data) != file["size"]:
        raise Refusal("file_upload_size_mismatch")
    team.store.put_bytes(file_id, data)
    file["state"] = "uploaded"


@method("files.completeUploadExternal")
def complete(team: Team, args: dict) -> dict:
    files = args.get("files")
    if not isinstance(files, list) or not files or not all(isinstance(one, dict) for one in files):
        raise Refusal("invalid_arguments", ["[ERROR] files must be a list of {id, title}"])
    for one in files:
        if team.files.get(one.get("id"), {}).get("state") != "uploaded":
            raise Refusal("file_not_found")
    wanted = args.get("channels") or args.get("channel_id") or ""
    channels = [team.channel(one) for one in str(wanted).split(",") if one]
    if any(BOT_USER_ID not in channel["members"] for channel in channels):
        raise Refusal("not_in_channel")
    done = []
    for one in files:
        file = team.files[one["id"]]
        file.update(title=one.get("title") or file["name"], state="complete", channels=[c["id"] for c in channels])
        team.store.put("file", file["id"], file)
        done.append(file)
    said = content(team, {"text": args.get("initial_comment") or "", "blocks": args.get("blocks")})
    for channel in channels:
        post(team, channel, BOT_USER_ID, said, thread_ts=args.get("thread_ts"), files=done, subtype="file_share")
    return {"files": done}


@method("files.info")
def info(team: Team, args: dict) -> dict:
    need(args, "file")
    file = team.files.get(args["file"])
    if file is None or file["state"] != "complete":
        raise Refusal("file_not_found")
    return {"file": file}


@method("files.list")
def listed(team: Team, args: dict) -> dict:
    rows, cursor = page(args, [one for one in team.files.values() if one["state"] == "complete"], 100)
    return {"files": rows, "response_metadata": cursor}
