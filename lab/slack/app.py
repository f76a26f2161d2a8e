"""The HTTP face towards the app under test: Web API, uploads, response_url, Socket Mode; with faults and a log."""

import asyncio
import time

from aiohttp import web

from lab.slack import api_chat, api_conversations, api_files, api_people, api_views, control_routes, methods
from lab.slack.arguments import arguments
from lab.slack.refusals import Refusal
from lab.slack.response_urls import respond
from lab.slack.team import Team

REGISTERED = (api_chat, api_conversations, api_files, api_people, api_views)
TEAM = web.AppKey("team", Team)
ENTRY = web.RequestKey("entry", dict)
LOG_LIMIT = 20_000


def make_app(team: Team) -> web.Application:
    """The whole workspace as one aiohttp application."""
    app = web.Application(client_max_size=80 << 20, middlewares=[bad_days])
    app[TEAM] = team
    app.router.add_route("*", "/api/{method}", api)
    app.router.add_post("/upload/v1/{file}", upload)
    app.router.add_post("/response/{name}", response_url)
    app.router.add_get("/link/", link)
    app.router.add_get("/files-pri/{file}/{rest:.*}", private_file)
    control_routes.add(app, team)
    return app


@web.middleware
async def bad_days(request: web.Request, handler) -> web.StreamResponse:
    """Apply the faults to what the app under test calls, and write every such call down."""
    kind = request.path.split("/")[1]
    if kind not in ("api", "upload", "response", "link", "files-pri"):
        return await handler(request)
    team = request.app[TEAM]
    method = request.match_info.get("method", kind)
    entry = {"time": time.time(), "method": method, "args": {}, "status": 0, "error": "", "fault": ""}
    team.requests.append(entry)
    del team.requests[:-LOG_LIMIT]
    request[ENTRY] = entry
    faults = team.faults
    if faults.latency:
        await asyncio.sleep(faults.latency)
    if faults.outage == "refuse":
        return cut(request, "refuse")
    if faults.outage:
        entry.update(status=503, fault="503")
        return web.Response(status=503, text="Service Unavailable")
    limited = faults.strike(faults.rate_limited, method)
    if limited is not None:
        entry.update(status=429, error="ratelimited", fault="rate_limit")
        headers = {"Retry-After": str(limited.get("retry_after", 1))}
        return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
    failing = faults.strike(faults.failing, method)
    if failing is not None:
        entry.update(status=failing.get("status", 200), error=failing.get("error", "internal_error"), fault="fail")
        return web.json_response({"ok": False, "error": entry["error"]}, status=entry["status"])
    response = await handler(request)
    entry["status"] = response.status
    if faults.strike(faults.losing, method) is not None:
        return cut(request, "lost_answer")
    return response


def cut(request: web.Request, fault: str) -> web.Response:
    """End the connection without a word."""
    request[ENTRY]["fault"] = fault
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)


async def api(request: web.Request) -> web.Response:
    team, entry = request.app[TEAM], request[ENTRY]
    try:
        args = await arguments(request)
        token = (request.headers.get("Authorization") or "").removeprefix("Bearer ") or args.pop("token", "")
        args.pop("token", None)
        entry["args"] = args
        answer = methods.call(team, request.match_info["method"], token, args)
    except Refusal as refusal:
        entry["error"] = refusal.code
        answer = refusal.body()
    return web.json_response(answer)


async def upload(request: web.Request) -> web.Response:
    # slack_sdk labels raw bytes as a form in one client and as a stream in the other: only multipart is parsed
    if request.content_type == "multipart/form-data":
        part = next((one for one in (await request.post()).values() if hasattr(one, "file")), None)
        data = part.file.read() if part else b""
    else:
        data = await request.read()
    try:
        api_files.receive(request.app[TEAM], request.match_info["file"], data)
    except Refusal as refusal:
        request[ENTRY]["error"] = refusal.code
        return web.Response(status=404 if refusal.code == "file_not_found" else 400, text=refusal.code)
    return web.Response(text=f"OK - {len(data)}")


async def response_url(request: web.Request) -> web.Response:
    try:
        args = await arguments(request)
        request[ENTRY]["args"] = args
        respond(request.app[TEAM], request.match_info["name"], args)
    except Refusal as refusal:
        request[ENTRY]["error"] = refusal.code
        gone = refusal.code in ("expired_url", "used_url")
        return web.json_response(refusal.body(), status=404 if gone else 400)
    return web.Response(text="ok")


async def link(request: web.Request) -> web.StreamResponse:
    return await request.app[TEAM].sockets.serve(request)


async def private_file(request: web.Request) -> web.Response:
    team = request.app[TEAM]
    if request.headers.get("Authorization") != f"Bearer {team.seed.bot_token}":
        return web.Response(status=302, headers={"Location": "/"})
    return control_routes.file_response(team, request.match_info["file"])
