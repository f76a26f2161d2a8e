"""Webhooks to real receivers over real HTTP: signed, retried, kept when nobody takes them; GitHub's and GitLab's."""

import contextlib
import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot import check
from bot.hooks.catalogue import CATALOGUE
from bot.hooks.courier import Courier
from bot.hooks.parcel import sign
from lab.github.server import GitHub
from lab.loopback.server import Loopback
from lifecycle import deliveries, queries
from lifecycle.deployments import DEPLOYMENT
from lifecycle.errors import BadSettings
from lifecycle.images import IMAGE
from lifecycle.ledger import Ledger
from lifecycle.releases import RELEASE
from lifecycle.servers import SERVER
from lifecycle.settings import Settings
from lifecycle.swaps import SWAP
from lifecycle.victims import VICTIM

SHA = "3f2a1b" + "0" * 34


class Receiver:
    """Takes POSTs at any path and answers as told: `answers` is used up, then 204."""

    def __init__(self):
        self.requests: list[tuple[dict, bytes]] = []
        self.answers: list[tuple[int, dict]] = []
        app = Starlette(routes=[Route("/{path:path}", self._take, methods=["POST", "GET"])])
        self.server = Loopback(app)

    async def _take(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), await request.body()))
        status, headers = self.answers.pop(0) if self.answers else (204, {})
        return Response(status_code=status, headers=headers)

    @property
    def told(self) -> list[dict]:
        return [json.loads(body) for _, body in self.requests]


OPEN: list = []


@pytest.fixture(autouse=True)
def all_closed():
    yield
    while OPEN:
        desk = OPEN.pop()
        desk.courier.close()
        desk.ledger.close()


class Desk:
    """A ledger whose time the test sets, and a courier over it."""

    def __init__(self, folder: Path, to: dict, **more):
        self.now = 1_000_000.0
        self.ledger = Ledger(folder / "ledger.db", lambda: self.now)
        hooks = {"to": to, "secret": "s3cret", "github_token": "ghp_lab_bot", "gitlab_token": "glptt", **more}
        self.settings = Settings.model_validate({"webhooks": hooks})
        self.restart()
        OPEN.append(self)
        self.courier.step()  # the first step looks where the past ends

    def restart(self) -> None:
        if hasattr(self, "courier"):
            self.courier.close()
        self.courier = Courier(self.settings, self.ledger, spread=lambda: 0.0)

    def happen(self, kind: str = "note.scheduler_back", **about) -> int:
        return self.ledger.note(kind, **about)

    @property
    def waiting(self) -> list[deliveries.Delivery]:
        return deliveries.all_of(self.ledger.connection)


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def receiver(stack):
    receiver = Receiver()
    stack.callback(receiver.server.stop)
    receiver.server.start()
    return receiver


@pytest.fixture
def desk(tmp_path: Path, receiver):
    return Desk(tmp_path, {"ci": {"url": f"{receiver.server.url}/hook", "events": ["*"]}})


def test_the_catalogue_knows_every_event_of_every_machine() -> None:
    """A new arrow must be given a meaning for the outside, or this fails."""
    arrows = {f"{m.name}.{event}" for m in (RELEASE, DEPLOYMENT, SERVER, VICTIM, SWAP, IMAGE)
              for row in m.table.values() for event in row}  # fmt: skip
    born = {"release.found", "deployment.approved", "server.wanted", "victim.expected", "swap.wanted", "image.wanted"}
    noted = {kind for kind in CATALOGUE if kind.startswith("note.")}
    assert set(CATALOGUE) - noted == arrows | born


def test_a_receiver_can_prove_who_sent_it_and_when(desk: Desk, receiver: Receiver) -> None:
    """Body, names, time and signature; changed by one byte, the signature no longer fits; told once."""
    desk.ledger.found("model", "acme/Tiny-Good", SHA, by="alice")
    assert desk.courier.step() == 1 and desk.courier.step() == 0
    ((headers, body),) = receiver.requests
    told = json.loads(body)
    assert (told["event"], told["model"], told["revision"], told["by"]) == (
        "release.found", "acme/Tiny-Good", SHA, "alice",
    )  # fmt: skip
    assert headers["x-dayzero-event"] == "release.found"
    assert headers["x-dayzero-delivery"] == f"ci-{told['id']}"
    assert headers["x-dayzero-timestamp"] == "1000000"
    assert headers["x-dayzero-signature"] == sign("s3cret", "1000000", body)
    assert headers["x-dayzero-signature"] != sign("s3cret", "1000000", body + b" ")
    assert headers["x-dayzero-signature"] != sign("s3cret", "1000001", body)
    assert desk.waiting == []


def test_the_past_is_not_told(tmp_path: Path, receiver: Receiver) -> None:
    """Whoever sets up a webhook after a year gets what comes."""
    ledger = Ledger(tmp_path / "ledger.db", lambda: 1.0)
    ledger.note("note.scheduler_back")
    ledger.close()
    desk = Desk(tmp_path, {"ci": {"url": receiver.server.url, "events": ["*"]}})
    desk.happen("note.scheduler_silent")
    desk.courier.step()
    assert [t["event"] for t in receiver.told] == ["note.scheduler_silent"]


def test_what_fails_comes_again_with_patience_and_in_order(desk: Desk, receiver: Receiver) -> None:
    """503, then 429 with its own time, then nothing at all: nobody overtakes; in the end each was taken once."""
    receiver.answers = [(503, {}), (429, {"Retry-After": "500"})]
    first, second = desk.happen(), desk.happen("note.scheduler_silent")
    desk.courier.step()
    assert len(receiver.requests) == 1, "the second waits behind the first"
    desk.now += 9
    desk.courier.step()
    assert len(receiver.requests) == 1
    desk.now += 2
    desk.courier.step()
    assert len(receiver.requests) == 2
    desk.now += 400
    desk.courier.step()
    assert len(receiver.requests) == 2, "Retry-After is longer than our own pause"
    receiver.server.stop()
    desk.now += 101
    desk.courier.step()
    assert "No answer (ConnectError)" in desk.waiting[0].error
    desk.restart()
    receiver.server.start()
    desk.now += 4000
    assert desk.courier.step() == 2
    assert [t["id"] for t in receiver.told[2:]] == [first, second]
    assert desk.waiting == []


def test_what_nobody_takes_is_kept_and_can_be_sent_again(desk: Desk, receiver: Receiver) -> None:
    """After the last attempt, or at once when the answer is final: a dead letter, said once; the others go on."""
    receiver.answers = [(404, {})]
    dead, alive = desk.happen(), desk.happen("note.scheduler_silent")
    desk.courier.step()
    desk.courier.step()
    assert [t["id"] for t in receiver.told] == [dead, alive]
    (letter,) = desk.waiting
    assert (letter.event_id, letter.state, letter.error) == (dead, deliveries.DEAD, "It answered 404.")
    (note,) = [e for e in queries.events_after(desk.ledger.connection, 0) if e.kind == "note.webhook_dead"]
    assert note.detail["hook"] == "ci" and "webhook_dead" not in " ".join(CATALOGUE)
    desk.courier.step()
    assert len(receiver.requests) == 2
    assert deliveries.revive(desk.ledger, "other") == 0 and deliveries.revive(desk.ledger, "ci") == 1
    desk.courier.step()
    assert receiver.told[-1]["id"] == dead and desk.waiting == []


def test_patience_ends(tmp_path: Path, receiver: Receiver) -> None:
    """After so many attempts it is a dead letter."""
    desk = Desk(tmp_path, {"ci": {"url": receiver.server.url, "events": ["*"]}}, attempts=3)
    receiver.answers = [(500, {})] * 9
    desk.happen()
    for _ in range(9):
        desk.courier.step()
        desk.now += 3600
    assert len(receiver.requests) == 3
    assert [(d.state, d.attempts) for d in desk.waiting] == [(deliveries.DEAD, 3)]


def test_one_receiver_that_is_down_does_not_hold_up_the_other(tmp_path: Path, receiver: Receiver) -> None:
    """Each has its own line; a redirect is not followed: a signed parcel goes where it was addressed."""
    down = {"url": "http://127.0.0.1:9/", "events": ["*"]}
    desk = Desk(tmp_path, {"a": down, "b": {"url": receiver.server.url, "events": ["note.*"]}})
    receiver.answers = [(302, {"Location": "http://127.0.0.1:9/"})]
    desk.happen()
    desk.happen("server.lost")
    desk.courier.step()
    assert [t["event"] for t in receiver.told] == ["note.scheduler_back"]
    states = {(d.hook, d.event_id): d.state for d in desk.waiting}
    assert states[("b", 1)] == deliveries.DEAD and states[("a", 1)] == deliveries.DUE


def test_github_gets_a_repository_dispatch(tmp_path: Path, stack) -> None:
    """In GitHub's own form, within its ten properties; the lab's GitHub takes it."""
    github = stack.enter_context(GitHub())
    github.add_repo("acme/deploy")
    url = f"{github.url}/repos/acme/deploy/dispatches"
    desk = Desk(tmp_path, {"gh": {"url": url, "kind": "github", "events": ["release.*"]}})
    desk.ledger.found("model", "acme/Tiny-Good", SHA)
    assert desk.courier.step() == 1
    (dispatch,) = github.dispatches
    assert dispatch.event_type == "dayzero.release.found" and dispatch.client_payload["model"] == "acme/Tiny-Good"
    bad = Desk(tmp_path / "2", {"gh": {"url": url, "kind": "github", "events": ["*"]}}, github_token="ghp_wrong")
    bad.happen()
    bad.courier.step()
    assert [(d.state, d.error) for d in bad.waiting] == [(deliveries.DEAD, "It answered 401.")]


def test_gitlab_gets_a_pipeline_with_variables(tmp_path: Path, receiver: Receiver) -> None:
    """token, ref and one variable for each fact, as a form."""
    url = f"{receiver.server.url}/api/v4/projects/7/trigger/pipeline"
    desk = Desk(tmp_path, {"gl": {"url": url, "kind": "gitlab", "events": ["*"], "ref": "prod"}})
    receiver.answers = [(201, {})]
    desk.ledger.found("model", "acme/Tiny-Good", SHA)
    desk.courier.step()
    form = parse_qs(receiver.requests[0][1].decode())
    assert form["token"] == ["glptt"] and form["ref"] == ["prod"]
    assert form["variables[DAYZERO_MODEL]"] == ["acme/Tiny-Good"]
    assert form["variables[DAYZERO_EVENT]"] == ["release.found"]


@pytest.mark.parametrize("kind", ["json", "github", "gitlab"])
def test_a_missing_secret_is_said_not_sent(tmp_path: Path, receiver: Receiver, kind: str) -> None:
    """It waits with the reason; nothing unsigned leaves."""
    none = {"secret": None, "github_token": None, "gitlab_token": None}
    desk = Desk(tmp_path, {"ci": {"url": receiver.server.url, "kind": kind, "events": ["*"]}}, **none)
    desk.happen()
    desk.courier.step()
    assert receiver.requests == [] and "in the environment" in desk.waiting[0].error


def test_a_pattern_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    """With the nearest name that there is."""
    with pytest.raises(BadSettings, match=r"deployment\.pased") as refused:
        Desk(tmp_path, {"ci": {"url": "http://x", "events": ["deployment.pased"]}})
    assert "deployment.passed" in refused.value.next_step


def test_the_check_sends_a_test_event_and_shows_the_answer(tmp_path: Path, receiver: Receiver, stack) -> None:
    """Each kind in its own form, signed; only when asked for by name, because GitLab would start a pipeline."""
    github = stack.enter_context(GitHub())
    github.add_repo("acme/deploy")
    hooks = {
        "ci": {"url": receiver.server.url},
        "gh": {"url": f"{github.url}/repos/acme/deploy/dispatches", "kind": "github"},
        "gl": {"url": f"{receiver.server.url}/trigger", "kind": "gitlab"},
    }
    desk = Desk(tmp_path, hooks)
    (quiet,) = check.run(desk.settings, checks={"webhooks": check.CHECKS["webhooks"]})
    assert quiet.ok and "ci, gh, gl" in quiet.sentence and receiver.requests == [] and github.dispatches == []
    receiver.answers = [(200, {}), (201, {})]
    (asked,) = check.run(desk.settings, ["webhooks"])
    assert asked.ok and asked.sentence == "ci: 200. gh: 204. gl: 201."
    headers, body = receiver.requests[0]
    assert json.loads(body)["event"] == headers["x-dayzero-event"] == "ping"
    assert headers["x-dayzero-signature"] == sign("s3cret", headers["x-dayzero-timestamp"], body)
    assert [d.event_type for d in github.dispatches] == ["dayzero.ping"]
    assert parse_qs(receiver.requests[1][1].decode())["variables[DAYZERO_EVENT]"] == ["ping"]


@pytest.mark.parametrize(
    ("hook", "status", "secrets", "said", "step"),
    [
        ({}, 401, {}, "ci: 401", "compare the secret"),
        ({}, 302, {}, "ci: 302", "final address"),
        ({}, 404, {}, "ci: 404", "address"),
        ({}, 500, {}, "ci: 500", "Ask who runs it"),
        ({"url": "http://127.0.0.1:9"}, 200, {}, "no answer (ConnectError)", "way out"),
        ({}, 200, {"secret": None}, "can't be signed", "DAYZERO_WEBHOOK_SECRET"),
    ],
)
def test_what_a_receiver_lacks_is_said(tmp_path, receiver: Receiver, hook, status, secrets, said, step) -> None:
    """Its answer, and what to do about it; never a secret."""
    desk = Desk(tmp_path, {"ci": {"url": receiver.server.url, **hook}}, **secrets)
    receiver.answers = [(status, {})]
    (result,) = check.run(desk.settings, ["webhooks"])
    assert result.ok is False and said in result.sentence and step in result.next_step
    assert "s3cret" not in result.sentence + result.next_step
