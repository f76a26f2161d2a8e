"""The `/_lab/` routes every stand-in has: what was asked (`requests`) and what shall go wrong (`faults`)."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lab.loopback.faults import Faults, fault_from
from lab.loopback.journal import Journal


def control_routes(journal: Journal, faults: Faults) -> list[Route]:
    """GET and DELETE /_lab/requests; GET, POST (one fault or a list) and DELETE /_lab/faults."""

    async def requests(request: Request) -> JSONResponse:
        if request.method == "DELETE":
            journal.clear()
        return JSONResponse(journal.rows())

    async def spoil(request: Request) -> JSONResponse:
        if request.method == "DELETE":
            faults.clear()
        if request.method == "POST":
            asked = await request.json()
            try:
                for fault in [fault_from(each) for each in (asked if isinstance(asked, list) else [asked])]:
                    faults.add(fault)
            except ValueError as error:
                return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(faults.waiting())

    return [
        Route("/_lab/requests", requests, methods=["GET", "DELETE"]),
        Route("/_lab/faults", spoil, methods=["GET", "POST", "DELETE"]),
    ]
