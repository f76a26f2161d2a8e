"""A Hub of 500 organisations with 100 repositories each, in memory: the lab's own would read 50,000 folders a poll."""

import json
import sys
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.loopback.server import Loopback

ORGANISATIONS, EACH = 500, 100
TAGS = """transformers safetensors text-generation conversational en license:apache-2.0 arxiv:1234.5678
base_model:acme/base base_model:finetune:acme/base region:us endpoints_compatible""".split()


class Many:
    """`asked` counts listings. POST /grow adds one repository to each of the first `n` organisations."""

    def __init__(self) -> None:
        self.asked = 0
        self.rows = {f"org{o}": [_row(f"org{o}", n) for n in range(EACH)] for o in range(ORGANISATIONS)}
        self.server = Loopback(
            Starlette(
                routes=[
                    Route("/api/models", self.models),
                    Route("/grow/{n:int}", self.grow, methods=["POST"]),
                    Route("/asked", self.tell),
                ]
            )
        )

    async def models(self, request: Request) -> Response:
        self.asked += 1
        rows = self.rows[parse_qs(request.url.query)["author"][0]]
        return Response(json.dumps(rows), media_type="application/json")

    async def grow(self, request: Request) -> Response:
        for o in range(request.path_params["n"]):
            self.rows[f"org{o}"].append(_row(f"org{o}", len(self.rows[f"org{o}"])))
        return JSONResponse({})

    async def tell(self, request: Request) -> Response:
        return JSONResponse({"asked": self.asked})


def _row(org: str, n: int) -> dict:
    return {
        "_id": "66" * 12,
        "id": f"{org}/Some-Model-{n}-Instruct",
        "sha": f"{hash((org, n)) & 0xFFFFFFFFFF:040x}",
        "createdAt": "2025-01-01T00:00:00.000Z",
        "private": False,
        "gated": False,
        "tags": TAGS,
    }


if __name__ == "__main__":
    with Many().server as server:
        print(server.url, flush=True)
        sys.stdin.read()  # until whoever started us goes
