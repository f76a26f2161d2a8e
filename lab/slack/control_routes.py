"""The face towards people: the web page, what it reads and does under /_lab/, and the switches for tests."""

import asyncio
import inspect
import json
from pathlib import Path
from urllib.parse import quote, urlsplit

from aiohttp import WSMsgType, web

from lab.slack import views
from lab.slack.acts import ACTS, newest
from lab.slack.messages import thread
from lab.slack.refusals import Refusal
from lab.slack.seed import BOT_USER_ID, SLACKBOT_ID
from lab.slack.team import Team

PAGE = Path(__file__).parent / "page"
INLINE = ("image/png", "image/jpeg", "image/gif", "image/webp")
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
POLICY += "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def add(app: web.Application, team: Team) -> None:
    """Put the page and its routes into the application."""
    routes = Control(team)
    app.middlewares.append(guard(team))
    app.router.add_get("/_lab/state", routes.state)
    app.router.add_get("/_lab/messages", routes.messages)
    app.router.add_get("/_lab/thread", routes.thread)
    app.router.add_get("/_lab/live", routes.live)
    app.router.add_get("/_lab/file/{file}", routes.file)
    app.router.add_post("/_lab/act/{act}", routes.act)
    app.router.add_get("/_lab/faults", routes.faults)
    app.router.add_post("/_lab/faults", routes.set_faults)
    app.router.add_get("/_lab/requests", routes.requests)
    app.router.add_get("/_lab/envelopes", routes.envelopes)
    for path in ("/", "/archives/{rest:.*}", "/files/{rest:.*}"):
        app.router.add_get(path, index)
    app.router.add_static("/page/", PAGE)


def guard(team: Team):
    """Nobody else's web page may press buttons here: own host names only, and JSON for everything that acts."""
    names = {*LOOPBACK, urlsplit(team.url).hostname}

    @web.middleware
    async def check(request: web.Request, handler) -> web.StreamResponse:
        if urlsplit(f"//{request.host}").hostname not in names:
            return web.Response(status=403, text="this lab answers only under its own address")
        if request.path.startswith("/_lab/"):
            origin = request.headers.get("Origin")
            if origin and urlsplit(origin).netloc != request.host:
                return web.Response(status=403, text="another site's page may not use the lab")
            if request.method == "POST" and request.content_type != "application/json":
                return web.Response(status=415, text="send application/json")
        response = await handler(request)
        if not response.prepared:
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Content-Security-Policy"] = POLICY
            response.headers["Cache-Control"] = "no-store"
        return response

    return check


async def index(request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE / "index.html")


def file_response(team: Team, file_id: str) -> web.Response:
    """A file's bytes; shown in the page only when it is a plain image, otherwise a download."""
    file, data = team.files.get(file_id), team.store.get_bytes(file_id)
    if file is None or data is None:
        return web.Response(status=404, text="no such file")
    image = file["mimetype"] in INLINE
    headers = {"Content-Type": file["mimetype"] if image else "application/octet-stream"}
    place = "inline" if image else "attachment"
    headers["Content-Disposition"] = f"{place}; filename*=UTF-8''{quote(file['name'])}"
    return web.Response(body=data, headers=headers)


def refused(refusal: Refusal) -> web.Response:
    return web.json_response({**refusal.body(), "text": refusal.code})


class Control:
    """The /_lab/ routes. `as` names the person: a handle or an id."""

    def __init__(self, team: Team):
        self.team = team

    def me(self, request: web.Request) -> dict:
        try:
            return self.team.user(request.query.get("as", ""))
        except Refusal:
            raise web.HTTPNotFound(text="no such person; say ?as=alice") from None

    async def state(self, request: web.Request) -> web.Response:
        """Everything the page needs to draw its frame for one person."""
        team, me = self.team, self.me(request)
        visible = [one for one in team.channels.values() if one["kind"] == "channel" or me["id"] in one["members"]]
        last = {one["id"]: next(reversed(newest(team, me, one)), {}).get("ts", "") for one in visible}
        return web.json_response(
            {
                "team": team.seed.team,
                "me": me["id"],
                "bot": BOT_USER_ID,
                "slackbot": SLACKBOT_ID,
                "users": team.users,
                "people": [member.id for member in team.seed.members],
                "groups": {group.id: group.handle for group in team.seed.groups},
                "channels": [{**one, "last_ts": last[one["id"]]} for one in visible],
                "commands": [vars(one) for one in team.seed.commands],
                "sockets": len(team.sockets.open),
                "modal": views.current(team, me["id"]),
                "home": team.homes.get(me["id"]),
            }
        )

    async def messages(self, request: web.Request) -> web.Response:
        """Top-level messages of a channel as one person sees them, oldest first."""
        me = self.me(request)
        try:
            channel = self.team.channel(request.query.get("channel"), seen_by=me["id"])
        except Refusal as refusal:
            return refused(refusal)
        rows = newest(self.team, me, channel)[-int(request.query.get("limit", 500)) :]
        return web.json_response({"ok": True, "channel": channel, "messages": rows})

    async def thread(self, request: web.Request) -> web.Response:
        me = self.me(request)
        try:
            channel = self.team.channel(request.query.get("channel"), seen_by=me["id"])
            rows = thread(self.team, channel["id"], request.query.get("ts", ""))
        except Refusal as refusal:
            return refused(refusal)
        root = rows[0]["ts"]
        whispered = [
            one
            for one in self.team.ephemeral.values()
            if one["channel"] == channel["id"] and one["ephemeral_to"] == me["id"] and one.get("thread_ts") == root
        ]
        rows = sorted([*rows, *whispered], key=lambda one: one["ts"])
        return web.json_response({"ok": True, "messages": rows})

    async def act(self, request: web.Request) -> web.Response:
        act = ACTS.get(request.match_info["act"])
        if act is None:
            return web.Response(status=404, text=f"people can {', '.join(ACTS)}")
        args = await request.json()
        try:
            user = self.team.user(args.get("as") or "")
            done = act(self.team, user, args)
            if inspect.isawaitable(done):
                done = await done
        except Refusal as refusal:
            return refused(refusal)
        except KeyError as missing:
            return web.json_response({"ok": False, "error": "invalid_arguments", "text": f"missing {missing}"})
        return web.json_response(done)

    async def file(self, request: web.Request) -> web.Response:
        return file_response(self.team, request.match_info["file"])

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Changes as they happen, one JSON object each, until the page goes away."""
        me = self.me(request)
        socket = web.WebSocketResponse(heartbeat=20)
        queue = self.team.feed.open(me["id"])  # first: what the page reads once it is open leaves no gap
        teller = None
        try:
            await socket.prepare(request)
            teller = asyncio.get_running_loop().create_task(self.pump(queue, socket))
            async for frame in socket:
                if frame.type == WSMsgType.ERROR:
                    break
        finally:
            if teller:
                teller.cancel()
            self.team.feed.close(queue)
        return socket

    async def pump(self, queue: asyncio.Queue, socket: web.WebSocketResponse) -> None:
        while not socket.closed:
            change = await queue.get()
            if change["kind"] == "stop":
                await socket.close()
                return
            await socket.send_str(json.dumps(change))

    async def faults(self, request: web.Request) -> web.Response:
        faults = self.team.faults
        return web.json_response({"outage": faults.outage, "latency": faults.latency})

    async def set_faults(self, request: web.Request) -> web.Response:
        """Switch faults, see Faults.set; `{"disconnect": "warn" | "cut"}` drops the app's sockets."""
        wanted = await request.json()
        try:
            self.team.faults.set(wanted)
        except (ValueError, TypeError, AttributeError) as wrong:
            return web.json_response({"ok": False, "error": "invalid_arguments", "text": str(wrong)})
        dropped = 0
        if self.team.faults.outage:
            dropped = await self.team.sockets.disconnect(warn=False)
        elif "disconnect" in wanted:
            dropped = await self.team.sockets.disconnect(warn=wanted["disconnect"] != "cut")
        return web.json_response({"ok": True, "dropped": dropped})

    async def requests(self, request: web.Request) -> web.Response:
        method = request.query.get("method")
        rows = [one for one in self.team.requests if method in (None, one["method"])]
        return web.json_response({"ok": True, "requests": rows})

    async def envelopes(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"ok": True, "sockets": len(self.team.sockets.open), "envelopes": self.team.sockets.log}
        )
