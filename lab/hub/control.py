"""What another process may do to the lab's Hub, under /_lab/: publish, push, change, rename, delete, limit, throttle.

Every action is POST /_lab/<action> with a JSON object, and answers {"id", "sha", "created_at"} or {"error"}.
"""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lab.hub.limits import Limits
from lab.hub.store import Files, Repo, Store
from lab.loopback.pace import Pipe

Action = Callable[[Mapping[str, object]], Repo | None]


def actions(store: Store, limits: Limits, pipe: Pipe) -> dict[str, Action]:
    """Action → what it does with its JSON object."""

    def limit(asked: Mapping[str, object]) -> None:
        limits.set(int(asked["quota"]), float(asked.get("window", 300)))

    def throttle(asked: Mapping[str, object]) -> None:
        pipe.rate = float(asked["bytes_per_s"])

    return {
        "publish": lambda asked: store.publish(_files(asked), str(asked["repo"]), asked.get("meta") or {}),
        "push": lambda asked: store.push(str(asked["repo"]), _files(asked), asked.get("meta") or {}),
        "change": lambda asked: store.change(str(asked["repo"]), **(asked.get("meta") or {})),
        "rename": lambda asked: store.rename(str(asked["repo"]), str(asked["to"])),
        "delete": lambda asked: store.delete(str(asked["repo"])),
        "grant": lambda asked: store.grant(str(asked["repo"]), str(asked["user"])),
        "limit": limit,
        "throttle": throttle,
    }


def control_actions(store: Store, limits: Limits, pipe: Pipe) -> Route:
    """POST /_lab/{action}."""
    known = actions(store, limits, pipe)

    async def act(request: Request) -> JSONResponse:
        name = request.path_params["action"]
        if name not in known:
            return JSONResponse({"error": f"no action {name}; there are {', '.join(known)}"}, 404)
        try:
            asked = await request.json()
            repo = await run_in_threadpool(known[name], asked)
        except KeyError as error:
            return JSONResponse({"error": f"there is no {error.args[0]}"}, 404)
        except (ValueError, TypeError, AttributeError, OSError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"id": repo.id, "sha": repo.head.sha, "created_at": repo.created_at} if repo else {})

    return Route("/_lab/{action}", act, methods=["POST"])


def _files(asked: Mapping[str, object]) -> Files:
    """{"folder": path} or {"files": {path: text, {"base64": …}, {"file": local path} or null}}."""
    if "folder" in asked:
        return Path(str(asked["folder"]))
    return {path: _decoded(path, value) for path, value in asked["files"].items()}


def _decoded(path: str, value: object) -> bytes | str | Path | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict) and set(value) == {"base64"}:
        return base64.b64decode(value["base64"])
    if isinstance(value, dict) and set(value) == {"file"}:
        return Path(value["file"])
    raise ValueError(f"{path}: give text, null, {{'base64': …}} or {{'file': …}}")
