"""HTTP mode: the lab's Slack sends signed requests, the bot takes each genuine one once."""

import contextlib
import http.client
import time
from pathlib import Path

import pytest

from bot.slack.asked import Status
from bot.slack.chat import missing_secret
from bot.slack.receiver import PATH, Once
from lab.slack.person import words
from lab.slack.requests_out import packed, signed
from lifecycle import queries
from lifecycle.errors import BadSettings
from tests.bot.office import MODEL, Office, answered
from tests.waiting import until

SECRET = "lab-signing-secret"
STATUS = {"command": "/status", "text": "", "user_id": "U0ALICE", "user_name": "alice", "channel_id": "C0MODELS"}


@pytest.fixture
def office(tmp_path: Path):
    """A bot that listens, and a workspace that knows where."""
    with contextlib.ExitStack() as stack:
        office = Office(tmp_path, stack)
        http = {"listen": "127.0.0.1:0", "signing_secret": SECRET}
        slack = type(office.settings.slack).model_validate({**office.settings.slack.model_dump(), **http})
        office.settings = office.settings.model_copy(update={"slack": slack})
        office.restart()
        office.look()
        office.publish()
        office.look()
        office.chat.connect()
        office.slack.send_to(f"http://127.0.0.1:{port(office)}{PATH}")
        yield office
        office.stop()


def port(office: Office) -> int:
    return office.chat._handler.port


def post(office: Office, body: str, headers: dict[str, str], path: str = PATH, method: str = "POST") -> int:
    """The status that a stranger gets."""
    connection = http.client.HTTPConnection("127.0.0.1", port(office), timeout=60)
    try:
        connection.request(
            method, path, body.encode(), {"Content-Type": "application/x-www-form-urlencoded", **headers}
        )
        return connection.getresponse().status
    finally:
        connection.close()


def test_commands_clicks_windows_and_home_by_http(office: Office) -> None:
    """Everything that comes by Socket Mode comes by HTTP, too; no socket is open."""
    assert office.slack.control.sockets() == 0
    assert office.alice.command("/status")
    answered(office, MODEL)
    assert office.alice.click("details", channel="#models")
    assert "digest" in words(office.alice.modal(60))
    assert office.alice.open_home()
    assert office.alice.click("approve", channel="#models")
    answered(office, "Approved")
    (made,) = queries.deployments(office.parts.ledger.connection)
    assert made.created_by == "alice"


def test_only_what_slack_signed_is_taken_and_only_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """No signature, a wrong one, one of another body, an old one: 401. The same request again: answered, not done."""
    body, _ = packed("slash_commands", {**STATUS, "response_url": f"{office.slack.url}/response/none"})
    now = time.time()
    good = signed(SECRET, body, now)
    assert post(office, body, {}) == 401
    assert post(office, body, signed("guess", body, now)) == 401
    assert post(office, body + "x", good) == 401
    assert post(office, body, signed(SECRET, body, now - 3600)) == 401
    asked: list[str] = []
    monkeypatch.setattr(Status, "answer", lambda self, word: asked.append(word) or "fine")
    assert [post(office, body, good) for _ in range(3)] == [200, 200, 200]
    assert post(office, body, signed(SECRET, body, now + 1)) == 200
    until(lambda: len(asked) >= 2, 30, "the two that were taken")
    assert asked == ["", ""]


def test_what_is_no_request_of_slacks_is_refused_unread(office: Office) -> None:
    """Another method, another path, a body without end or of gigabytes."""
    assert post(office, "", {}, method="GET") == 405
    assert post(office, "", {}, path="/") == 404
    assert post(office, "", {"Content-Length": str(10**10)}) == 413


def test_a_signature_is_remembered_as_long_as_it_is_good() -> None:
    """And then forgotten, so that memory does not grow."""
    now = [0.0]
    once = Once(lambda: now[0])
    assert once.first("a") and not once.first("a") and once.first("b")
    now[0] = 601.0
    assert once.first("c") and len(once._seen) == 1


def test_what_is_missing_is_named(office: Office) -> None:
    """HTTP mode needs the signing secret, and no app token; a listen address that is none is refused."""
    slack = office.settings.slack
    assert missing_secret(slack.model_copy(update={"app_token": None})) == ""
    assert missing_secret(slack.model_copy(update={"signing_secret": None})) == "SLACK_SIGNING_SECRET"
    assert missing_secret(slack.model_copy(update={"listen": "", "app_token": None})) == "SLACK_APP_TOKEN"
    office.settings = office.settings.model_copy(update={"slack": slack.model_copy(update={"listen": "3000"})})
    office.restart()
    with pytest.raises(BadSettings, match=r"slack\.listen"):
        office.chat.connect()
