"""What others may do to the lab's GitHub: POST /_lab/{publish,edit,delete,repo,file,secondary}; GET dispatches."""

from collections.abc import Callable, Mapping
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lab.github.records import Release
from lab.github.shelf import Shelf
from lab.loopback.faults import Fault, Faults


def secondary_limit(times: int = 1, retry_after: int | None = 1, status: int = 403) -> Fault:
    """GitHub's secondary limit, which strikes without warning: 403 or 429, sometimes with Retry-After."""
    return Fault(
        match="^/repos/",
        times=times,
        status=status,
        headers={} if retry_after is None else {"Retry-After": str(retry_after)},
        body={
            "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
            "documentation_url": "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api",
        },
    )


def control_actions(shelf: Shelf, faults: Faults) -> list[Route]:
    """The routes; each action's JSON object holds the arguments of the Shelf method of that name."""

    def secondary(asked: Mapping[str, object]) -> None:
        faults.add(secondary_limit(**asked))

    known: dict[str, Callable[[Mapping[str, object]], Release | None]] = {
        "publish": lambda asked: shelf.publish(**asked),
        "edit": lambda asked: shelf.edit(**asked),
        "delete": lambda asked: shelf.delete(**asked),
        "file": lambda asked: shelf.put_file(**asked),
        "repo": lambda asked: shelf.add_repo(**asked),
        "secondary": secondary,
    }

    async def act(request: Request) -> JSONResponse:
        name = request.path_params["action"]
        if name not in known:
            return JSONResponse({"error": f"no action {name}; there are {', '.join(known)}"}, 404)
        try:
            release = known[name](await request.json())
        except KeyError as error:
            return JSONResponse({"error": f"there is no {error.args[0]}"}, 404)
        except (ValueError, TypeError, AttributeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(asdict(release) if release else {})

    async def dispatches(request: Request) -> JSONResponse:
        return JSONResponse([asdict(dispatch) for dispatch in shelf.dispatches])

    return [Route("/_lab/dispatches", dispatches), Route("/_lab/{action}", act, methods=["POST"])]
