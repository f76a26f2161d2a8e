"""The lab's GitHub, asked by gidgethub and by plain httpx."""

import base64
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import gidgethub
import httpx
import pytest
from gidgethub.httpx import GitHubAPI

from lab.github.server import GitHub
from tests.waiting import until

TOKEN = "ghp_lab_bot"
VLLM = "vllm-project/vllm"
RELEASES = f"/repos/{VLLM}/releases"


class Clock:
    """Seconds since 1970, turned by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def github(clock: Clock) -> Iterator[GitHub]:
    with GitHub(clock=clock, user_limit=100, anonymous_limit=3) as running:
        yield running


@pytest.fixture
def http(github: GitHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=github.url, trust_env=False) as client:
        yield client


@asynccontextmanager
async def gidget(github: GitHub, cache: dict | None = None, token: str = TOKEN) -> AsyncIterator[GitHubAPI]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield GitHubAPI(client, "lab", oauth_token=token, cache=cache, base_url=github.url)


def test_gidgethub_reads_releases(github: GitHub, clock: Clock) -> None:
    """List, latest and by tag: newest first, latest skips prereleases, drafts are for those who may write."""
    github.publish_release(VLLM, "v1", "first")
    clock.now += 60
    github.publish_release(VLLM, "v2", "second")
    clock.now += 60
    github.publish_release(VLLM, "v3rc1", prerelease=True)
    clock.now += 60
    github.publish_release(VLLM, "v3", draft=True)

    async def ask() -> None:
        async with gidget(github) as gh:
            rows = await gh.getitem(RELEASES)
            assert [row["tag_name"] for row in rows] == ["v3", "v3rc1", "v2", "v1"]
            assert rows[0]["published_at"] is None
            assert (await gh.getitem(f"{RELEASES}/latest"))["tag_name"] == "v2"
            assert (await gh.getitem(f"{RELEASES}/tags/v1"))["body"] == "first"
            assert (await gh.getitem(rows[2]["url"]))["tag_name"] == "v2"
            with pytest.raises(gidgethub.BadRequest):
                await gh.getitem(f"{RELEASES}/tags/v3")
            github.edit_release(VLLM, "v3", draft=False)
            assert (await gh.getitem(f"{RELEASES}/tags/v3"))["published_at"] == "2027-01-15T08:03:00Z"

    anyio.run(ask)
    with httpx.Client(base_url=github.url, trust_env=False) as public:
        github.edit_release(VLLM, "v3", draft=True)
        assert [row["tag_name"] for row in public.get(RELEASES).json()] == ["v3rc1", "v2", "v1"]


def test_gidgethub_cache_costs_nothing_until_something_changes(github: GitHub) -> None:
    """A stored ETag gets 304 for free; a new release is seen at the next question."""
    github.publish_release(VLLM, "v1")
    cache: dict = {}

    async def tags() -> list[str]:
        async with gidget(github, cache) as gh:
            return [row["tag_name"] for row in await gh.getitem(RELEASES)]

    assert [anyio.run(tags) for _ in range(3)] == [["v1"]] * 3
    assert [entry.status for entry in github.requests(RELEASES)] == [200, 304, 304]
    assert github.rates.numbers("bot")["used"] == 1
    github.publish_release(VLLM, "v2")
    assert "v2" in anyio.run(tags)
    assert github.rates.numbers("bot")["used"] == 2


def test_an_anonymous_304_is_charged(github: GitHub, http: httpx.Client, clock: Clock) -> None:
    """Without a token an unchanged answer costs as much as any, and the hour is soon spent; then it is a new hour."""
    github.publish_release(VLLM, "v1")
    etag = http.get(RELEASES).headers["etag"]
    assert etag.startswith('W/"')
    for left in ("1", "0"):
        answer = http.get(RELEASES, headers={"If-None-Match": etag})
        assert (answer.status_code, answer.headers["x-ratelimit-remaining"], answer.content) == (304, left, b"")
    refused = http.get(RELEASES)
    assert refused.status_code == 403
    assert "rate limit exceeded" in refused.json()["message"]
    assert int(refused.headers["x-ratelimit-reset"]) == int(clock.now) + 3600
    clock.now += 3600
    assert http.get(RELEASES).status_code == 200


def test_gidgethub_sees_the_primary_limit(clock: Clock) -> None:
    """An exhausted hour reaches gidgethub as RateLimitExceeded, from our headers."""
    with GitHub(clock=clock, user_limit=1) as github:
        github.publish_release(VLLM, "v1")

        async def twice() -> None:
            async with gidget(github) as gh:
                await gh.getitem(RELEASES)
                gh.rate_limit = None  # a new process knows nothing of the limit yet
                await gh.getitem(RELEASES)

        with pytest.raises(gidgethub.RateLimitExceeded):
            anyio.run(twice)


@pytest.mark.parametrize("status", [403, 429])
def test_a_secondary_limit_strikes_and_passes(github: GitHub, http: httpx.Client, status: int) -> None:
    """The next request is told to wait, the one after that is served."""
    github.publish_release(VLLM, "v1")
    github.limit_secondary(retry_after=7, status=status)
    refused = http.get(RELEASES)
    assert (refused.status_code, refused.headers["retry-after"]) == (status, "7")
    assert "secondary rate limit" in refused.json()["message"]
    assert http.get(RELEASES).status_code == 200


def test_paging_by_link(github: GitHub) -> None:
    """gidgethub's getiter follows the links to the end; Link names first and last as GitHub does."""
    for number in range(65):
        github.publish_release(VLLM, f"v{number}")

    async def every() -> list[str]:
        async with gidget(github) as gh:
            return [row["tag_name"] async for row in gh.getiter(RELEASES)]

    assert sorted(anyio.run(every)) == sorted(f"v{number}" for number in range(65))
    assert len(github.requests(RELEASES)) == 3
    with httpx.Client(base_url=github.url, trust_env=False) as http:
        links = http.get(RELEASES, params={"per_page": 10, "page": 2}).links
        assert {rel: httpx.URL(link["url"]).params["page"] for rel, link in links.items()} == {
            "prev": "1", "first": "1", "next": "3", "last": "7",
        }  # fmt: skip


def test_a_dispatch_is_recorded(github: GitHub, http: httpx.Client) -> None:
    """repository_dispatch needs a token and an event type; what arrives can be read."""
    github.add_repo(VLLM)

    async def send() -> None:
        async with gidget(github) as gh:
            await gh.post(f"/repos/{VLLM}/dispatches", data={"event_type": "ping", "client_payload": {"n": 1}})

    anyio.run(send)
    (dispatch,) = github.dispatches
    assert (dispatch.repo, dispatch.event_type, dispatch.client_payload, dispatch.by) == (VLLM, "ping", {"n": 1}, "bot")
    url, key = f"/repos/{VLLM}/dispatches", {"Authorization": f"Bearer {TOKEN}"}
    assert http.post(url, json={"event_type": "ping"}).status_code == 404
    assert http.post(url, json={}, headers=key).status_code == 422
    assert http.post(url, json={"event_type": "x" * 101}, headers=key).status_code == 422
    assert len(github.dispatches) == 1


def test_what_is_missing_says_so(github: GitHub, http: httpx.Client) -> None:
    """Unknown repositories, routes and tokens answer in GitHub's shape."""
    for path in ("/repos/no/such/releases", "/nothing/here"):
        answer = http.get(path)
        assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")
    answer = http.get(RELEASES, headers={"Authorization": "token wrong"})
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


def test_a_process_of_its_own(tmp_path: Path) -> None:
    """`python -m lab.github` is driven under /_lab/ and remembers its releases in a file."""
    for expected in (["v1"], ["v2", "v1"]):
        port_file = tmp_path / "port"
        port_file.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "lab.github", "--state", str(tmp_path / "state.json"),
                "--print-port-file", str(port_file)]  # fmt: skip
        server = subprocess.Popen(argv, stdout=subprocess.PIPE)
        try:
            until(port_file.exists, 20, "the port file")
            url = f"http://127.0.0.1:{int(port_file.read_text())}"
            with httpx.Client(base_url=url, trust_env=False) as http:
                asked = {"repo": VLLM, "tag": expected[0], "body": "<b>notes</b>"}
                assert http.post("/_lab/publish", json=asked).json()["tag"] == expected[0]
                assert http.post("/_lab/publish", json=asked).status_code == 400
                assert [row["tag_name"] for row in http.get(RELEASES).json()] == expected
                page = http.get(http.get(RELEASES).json()[0]["html_url"])
                assert "&lt;b&gt;notes" in page.text
                http.post("/_lab/secondary", json={"status": 429}).raise_for_status()
                assert http.get(RELEASES).status_code == 429
                assert http.get("/_lab/requests").json()[-1]["status"] == 429
        finally:
            server.terminate()
            server.communicate(timeout=10)


def test_a_file_at_a_tag(github: GitHub) -> None:
    """Raw, as JSON, and 404 where it is not; counted like every other question."""
    github.put_file("a/b", "v1", "src/list.py", "One, Two")
    url = f"{github.url}/repos/a/b/contents/src/list.py"
    raw = httpx.get(url, params={"ref": "v1"}, headers={"Accept": "application/vnd.github.raw+json"})
    assert raw.text == "One, Two" and "x-ratelimit-remaining" in raw.headers
    assert base64.b64decode(httpx.get(url, params={"ref": "v1"}).json()["content"]) == b"One, Two"
    assert httpx.get(url, params={"ref": "v2"}).status_code == 404
