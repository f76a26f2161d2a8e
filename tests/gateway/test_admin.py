"""The admin API of a running gateway with two workers: what can be done, by whom, and that it is written down."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway import keys
from gateway.admin.app import ROUTES
from gateway.auth.key import ADMIN, prefix_of
from gateway.store import open_store
from lifecycle.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.world import ROOT, Gateway, Ledger, configure, new_key
from tests.waiting import until

BODY = {"model": "org/one", "messages": [{"role": "user", "content": "Where is Brno?"}], "max_tokens": 20}


@dataclass
class Place:
    settings: Settings
    gateway: Gateway
    admin: httpx.Client
    secret: str
    backend: Backend

    def ask(self, key: str, **more: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{self.gateway.url}/v1/chat/completions", json={**BODY, **more}, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("admin")
    settings = configure(folder)
    file = folder / "dayzero.toml"
    file.write_text(file.read_text() + "workers = 2\nadmin_port = 0\n")
    ledger = Ledger(settings.ledger_path)
    backend = Backend("/w").start()
    ledger.deploy("one", "org/one")
    ledger.serve("one", backend.url, "/w")
    db = open_store(settings.gateway_path)
    secret = keys.issue(db, "ops", (), kind=ADMIN)
    db.close()
    gateway = Gateway(folder)
    port = gateway.said("listening.admin")[0]["port"]
    headers = {"authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/admin", headers=headers, timeout=30) as admin:
        yield Place(settings, gateway, admin, secret, backend)
    gateway.stop()
    backend.stop()
    ledger.close()


def test_a_key_lives_and_dies_by_the_api(place: Place) -> None:
    """Made, used, changed, rotated with grace, revoked: it is live at once and in the audit, with the admin's name."""
    made = place.admin.post("/keys", json={"name": "eve", "team": "red", "tags": ["stable"], "days": 2})
    assert made.status_code == 201
    key, prefix = made.json()["key"], made.json()["prefix"]
    assert place.ask(key).status_code == 200
    changed = place.admin.patch(f"/keys/{prefix}", json={"models": ["org/two"], "priority": 3})
    assert changed.json()["models"] == ["org/two"] and changed.json()["team"] == "red"
    until(lambda: place.ask(key).status_code == 404, 30, "the other worker to know")
    place.admin.patch(f"/keys/{prefix}", json={"models": []})
    until(lambda: all(place.ask(key).status_code == 200 for _ in range(4)), 30, "both workers to know")
    new = place.admin.post(f"/keys/{prefix}/rotate", json={"grace_hours": 1}).json()["key"]
    assert new != key and prefix_of(new) == prefix
    until(lambda: all(place.ask(one).status_code == 200 for one in (new, key, new, key)), 30, "both secrets")
    last = place.admin.post(f"/keys/{prefix}/rotate").json()["key"]
    until(lambda: {place.ask(one).status_code for one in (key, new, key, new)} == {401}, 30, "old secrets to die")
    assert place.ask(last).status_code == 200
    assert place.admin.get(f"/keys/{prefix}").json()["last_used_at"] > 0
    place.admin.delete(f"/keys/{prefix}")
    until(lambda: {place.ask(last).status_code for _ in range(4)} == {401}, 30, "the revocation")
    audit = place.admin.get("/audit", params={"of": prefix}).json()["audit"]
    assert [row["action"].partition(".")[2] for row in audit] == [
        "revoked", "rotated", "rotated", "changed", "changed", "issued",
    ]  # fmt: skip
    assert all(row["by"] == f"ops ({prefix_of(place.secret)})" for row in audit)
    assert not any(one[len(prefix_of(one)) + 1 :] in str(audit) for one in (key, new, last))


def test_limits_of_a_team_hold_for_all_its_keys_in_all_workers(place: Place) -> None:
    """Five requests a minute: of ten by two keys, each on a connection of its own, five are answered."""
    assert place.admin.put("/teams/blue", json={"limits": {"requests_per_minute": 5}}).status_code == 200
    both = [place.admin.post("/keys", json={"name": n, "team": "blue"}).json() for n in ("b1", "b2")]
    answers = [place.ask(both[n % 2]["key"]) for n in range(10)]
    assert sorted(a.status_code for a in answers) == [200] * 5 + [429] * 5
    refused = next(a for a in answers if a.status_code == 429)
    assert 0 < int(refused.headers["retry-after"]) <= 62 and "Your team blue" in refused.text
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    headers = answers[0].headers
    assert headers["x-ratelimit-limit-requests"] == "5" and int(headers["x-ratelimit-remaining-requests"]) == 4
    used = place.admin.get(f"/keys/{both[0]['prefix']}/used").json()["used"]
    assert used == [{"of": "team:blue", "limits": {"requests_per_minute": 5}, "used": {"requests_per_minute": 5}}]
    place.admin.delete("/teams/blue")
    until(lambda: all(place.ask(both[0]["key"]).status_code == 200 for _ in range(4)), 30, "no limit any more")


def test_a_budget_is_what_was_really_used(place: Place) -> None:
    """Twelve tokens an answer, a hundred a day, about 44 reserved: what is given back lets more than two in."""
    made = place.admin.post("/keys", json={"name": "thrifty", "limits": {"tokens_per_day": 100}}).json()
    answers = [place.ask(made["key"]) for _ in range(16)]
    codes = [a.status_code for a in answers]
    assert 4 <= codes.count(200) <= 6 and codes[-1] == 429, codes
    error = answers[-1].json()["error"]
    assert error["code"] == "insufficient_quota" and "a day" in error["message"]


def test_workers_that_are_killed_leave_nothing_reserved(place: Place) -> None:
    """kill -9 of all workers while a stream runs: what it had reserved of the day's budget is soon free again."""
    made = place.admin.post("/keys", json={"name": "cut", "limits": {"tokens_per_day": 3000}}).json()
    place.backend.mode = "hold"
    headers = {"authorization": f"Bearer {made['key']}"}
    body = {**BODY, "stream": True, "max_tokens": 2500}
    with httpx.stream("POST", f"{place.gateway.url}/v1/chat/completions", json=body, headers=headers) as stream:
        pieces = stream.iter_bytes()  # dropped, it would hang up
        assert next(pieces)
        assert place.ask(made["key"], max_tokens=2500).status_code == 429
        parent = place.gateway.process.pid
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    place.backend.mode = "ok"

    def fits() -> bool:
        try:
            return place.ask(made["key"], max_tokens=2500).status_code == 200
        except httpx.TransportError:
            return False

    until(fits, 60, "the budget to be free")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("POST", "/keys", {"name": "x", "tgas": []}, 400, "tgas"), ("POST", "/keys", {"name": ""}, 400, "name"),
        ("POST", "/keys", {"name": "x", "limits": {"rpm": 1}}, 400, "requests_per_minute"),
        ("PATCH", "/keys/dz-00000000", {"priority": 1}, 404, "no living key"), ("PUT", "/keys", {}, 405, "GET or POST"),
        ("GET", "/nothing", None, 404, "/admin/keys"), ("GET", "/audit?limit=many", None, 400, "limit"),
        ("DELETE", "/teams/none", None, 404, "no team"), ("GET", "/keys/nobody", None, 404, "nobody"),
    ],
)  # fmt: skip
def test_wrong_requests_are_answered_with_a_sentence(place, method, path, body, status: int, reason: str) -> None:
    """The status, what is wrong, and nothing is changed."""
    answer = place.admin.request(method, path, json=body)
    assert answer.status_code == status and reason in answer.json()["error"]["message"]


def test_every_address_is_on_the_page() -> None:
    """docs/keys.md names each one with each of its methods."""
    page = (ROOT / "docs" / "keys.md").read_text()
    for path, acts in ROUTES.items():
        assert all(f"| `{path}` | {method} |" in page for method in acts), path


def test_nobody_comes_in_by_the_wrong_door(place: Place) -> None:
    """A user's key opens no admin API, not even to see what isn't there; an admin's opens no model."""
    user = new_key(place.settings, "stable", "candidate")
    for headers in ({}, {"authorization": f"Bearer {user}"}, {"authorization": f"Bearer {place.secret}x"}):
        for path in ("/admin/keys", "/admin/nothing"):
            answer = httpx.get(f"{str(place.admin.base_url).removesuffix('/admin/')}{path}", headers=headers)
            assert answer.status_code == 401 and "admin key" in answer.text
    assert place.ask(place.secret).status_code == 401
    assert httpx.get(f"{place.gateway.url}/admin/keys", headers={"authorization": f"Bearer {user}"}).status_code == 404


def test_no_secret_is_written_anywhere(place: Place) -> None:
    """Keys sent as keys, in addresses, bodies and wrong headers: not in logs, errors, metrics, the database."""
    made = place.admin.post("/keys", json={"name": "leak", "tags": ["stable", "candidate"]}).json()["key"]
    wrong = made[:-4] + "AAAA"
    auth = {"authorization": f"Bearer {made}"}
    said = [place.ask(made), place.ask(wrong), place.ask(made, model=made), place.ask(made, max_tokens=wrong)]
    said += [httpx.get(f"{place.gateway.url}/v1/models/x?key={made}", headers=auth)]
    said += [httpx.get(f"{place.gateway.url}/metrics", headers=auth)]
    said += [httpx.get(f"{place.gateway.url}/nothing", headers={"authorization": made, "x-api-key": wrong})]
    said += [place.admin.get(f"/keys/{wrong}"), place.admin.post("/keys", json={"name": "x", "tags": [wrong]})]
    for answer in said:
        kept = "model named" in answer.text or "no living key" in answer.text  # the caller's own words, to the caller
        assert kept or (made not in answer.text and wrong not in answer.text)
    place.gateway.stop()
    secrets = [one[len(prefix_of(one)) + 1 :].encode() for one in (made, place.secret)] + [wrong[12:].encode()]
    logs = "\n".join(map(str, place.gateway.lines)).encode()
    assert b"request" in logs
    written = [logs, *(file.read_bytes() for file in place.settings.site.state.iterdir() if file.is_file())]
    for secret in secrets:
        assert not any(secret in text for text in written)
