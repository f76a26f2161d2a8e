"""Who sees which name, and what is said to who doesn't."""

import httpx
import openai
import pytest

from gateway import keys
from gateway.auth.key import prefix_of
from gateway.store import open_store
from tests.gateway.conftest import World
from tests.gateway.world import new_key
from tests.waiting import until

ASK = [{"role": "user", "content": "Where is Brno?"}]


def names(client: openai.OpenAI) -> set[str]:
    return {model.id for model in client.models.list()}


def test_a_key_sees_only_its_tags(world: World) -> None:
    """A candidate is invisible and uncallable for a `stable` key, and the refusal lists what can be called."""
    stable = world.model(world.backend("/w"), state="STABLE")
    candidate = world.model(world.backend("/w"), state="TESTING")
    client = world.client("stable")
    assert stable in names(client) and candidate not in names(client)
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model=candidate, messages=ASK)
    assert stable in str(caught.value) and world.rows(candidate) == []
    examiner = world.client("candidate")
    assert candidate in names(examiner) and stable not in names(examiner)
    assert examiner.chat.completions.create(model=candidate, messages=ASK).model == candidate


def test_promotion_shows_it_to_others_without_a_restart(world: World) -> None:
    """The same deployment, moved to STABLE, can be called by a `stable` key."""
    world.ledger.deploy("rising", "org/rising", "TESTING")
    world.ledger.serve("rising", world.backend("/w").url, "/w")
    world.settle()
    client = world.client("stable")
    assert "org/rising" not in names(client)
    world.ledger.move("rising", "STABLE")
    world.settle()
    assert client.chat.completions.create(model="org/rising", messages=ASK).model == "org/rising"


def test_tags_and_deployment_ids_are_names(world: World) -> None:
    """`stable` and `preview` are the newest deployment with that tag; a deployment's id names itself."""
    old, new = world.backend("/old"), world.backend("/new")
    world.ledger.deploy("older", "org/older", "PREVIEW")
    world.ledger.serve("older", old.url, "/old")
    world.ledger.deploy("newer", "org/newer", "PREVIEW")
    world.ledger.serve("newer", new.url, "/new")
    world.settle()
    client = world.client("preview", "stable")
    assert client.chat.completions.create(model="preview", messages=ASK).model == "preview"
    assert len(new.seen) == 1 and old.seen == []
    client.chat.completions.create(model="older", messages=ASK)
    assert len(old.seen) == 1
    assert client.models.retrieve("preview").dayzero["model"] == "org/newer"


def test_stable_comes_before_preview(world: World) -> None:
    """One model id under both tags: who sees both is served by the stable one; a drained one gets no traffic."""
    stable, preview = world.backend("/s"), world.backend("/p")
    for id, state, backend in (("both-p", "PREVIEW", preview), ("both-s", "STABLE", stable)):
        world.ledger.deploy(id, "org/both", state)
        world.ledger.serve(id, backend.url, backend.model)
    world.settle()
    world.client("preview", "stable").chat.completions.create(model="org/both", messages=ASK)
    assert (len(stable.seen), len(preview.seen)) == (1, 0)
    world.client("preview").chat.completions.create(model="org/both", messages=ASK)
    assert (len(stable.seen), len(preview.seen)) == (1, 1)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer dz-00000000-nonsense", "Basic abc", "Bearer sk-\u00e9"])
def test_a_wrong_key_is_refused(world: World, header: str) -> None:
    """401 with a sentence, in OpenAI's shape."""
    headers = {"authorization": header.encode("latin-1")} if header else {}
    answer = httpx.get(f"{world.gateway.url}/v1/models", headers=headers)
    assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"


def test_revoked_and_expired_keys_are_refused(world: World) -> None:
    """Revocation takes effect in the running gateway; an expired key never works; a changed secret neither."""
    db = open_store(world.settings.gateway_path)
    key = keys.issue(db, "bob", ["stable"])
    expired = keys.issue(db, "dana", ["stable"], expires_at=1.0)

    def status(key: str) -> int:
        return httpx.get(f"{world.gateway.url}/v1/models", headers={"authorization": f"Bearer {key}"}).status_code

    assert status(key) == 200 and status(expired) == 401
    assert status(key[:-1] + ("a" if key[-1] != "a" else "b")) == 401
    keys.revoke(db, prefix_of(key), by="alice")
    until(lambda: status(key) == 401, 1, "the revocation to be known")
    assert [row["action"] for row in db.query("SELECT action FROM audit WHERE subject = ?", [key[:11]])] == [
        "key.issued",
        "key.revoked",
    ]
    assert key not in "\n".join(map(str, db.query("SELECT * FROM keys")))
    db.close()


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "not JSON"),
        (b"[]", "JSON object"),
        (b'{"messages": []}', "names no model"),
        (b'{"model": 3}', "names no model"),
        (b'{"model": "x", "temperature": NaN}', "NaN"),
        (b'{"a":' * 100_000, "not JSON"),
        (b'{"model": "x", "messages": [{}], "stream": "yes"}', "stream"),
        (b'{"model": "x", "messages": "hello"}', "`messages`"),
        (b'{"model": "x", "messages": ["hello"]}', "`messages`"),
        (b"\xff", "not JSON"),
    ],
)
def test_bad_bodies_are_400(world: World, body: bytes, word: str) -> None:
    """Each with a sentence that says what is wrong."""
    headers = {"authorization": f"Bearer {new_key(world.settings, 'stable')}"}
    answer = httpx.post(f"{world.gateway.url}/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code == 400 and word in answer.json()["error"]["message"]


def test_a_body_too_large_is_413(world: World) -> None:
    """Refused by its announced length, before it is read."""
    headers = {"authorization": f"Bearer {new_key(world.settings, 'stable')}"}
    answer = httpx.post(f"{world.gateway.url}/v1/chat/completions", content=b" " * (33 * 2**20), headers=headers)
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "request_too_large"


def test_unknown_addresses_and_methods(world: World) -> None:
    """404 and 405 in OpenAI's shape."""
    assert httpx.get(f"{world.gateway.url}/v2/x").json()["error"]["code"] == "unknown_url"
    assert httpx.get(f"{world.gateway.url}/v1/chat/completions").status_code == 405


def test_the_status_page_shows_what_can_be_called(world: World) -> None:
    """Stable and preview models stand on it, candidates don't, and what comes from outside is escaped."""
    shown = world.model(world.backend("/w"), state="PREVIEW")
    hidden = world.model(world.backend("/w"), state="TESTING")
    answer = httpx.get(world.gateway.url)
    assert shown in answer.text and hidden not in answer.text and "our &lt;lab&gt;" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
