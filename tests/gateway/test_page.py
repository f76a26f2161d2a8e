"""What people see: which models there are, how to call them, what they used; and the pages' way with hostile names."""

import csv
import io
import re

import httpx
import pytest

from gateway import keys
from gateway.pages.files import asset
from gateway.pages.models import own_card, snippets, speed
from gateway.routing import Served
from gateway.store import open_store
from lifecycle import reports
from lifecycle.runfolder import RunFolder
from tests.gateway.conftest import World
from tests.gateway.world import new_key

ASK = [{"role": "user", "content": "Where is Brno?"}]


@pytest.mark.parametrize("path", ["/", "/try", "/usage"])
def test_a_page_loads_nothing_from_elsewhere(world: World, path: str) -> None:
    """No inline script or style, every link to our own files, and a policy that allows nothing else."""
    answer = httpx.get(f"{world.gateway.url}{path}")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert "<style" not in answer.text and not re.search(r"<script(?! src=)|\son\w+=", answer.text)
    loaded = re.findall(r'(?:src|href)="(\./assets/[^"]+)"', answer.text)
    assert loaded
    for link in loaded:
        found = httpx.get(f"{world.gateway.url}/{link.removeprefix('./')}")
        assert found.status_code == 200 and found.headers["x-content-type-options"] == "nosniff"


def test_the_models_page_says_how_each_is(world: World) -> None:
    """Tag, servers and what was seen of it; without a key no candidate is named; names are escaped."""
    world.ledger.deploy("dhostile", "org/<script>alert(1)</script>", "PREVIEW")
    model = world.model(world.backend("/w"))
    hidden = world.model(world.backend("/w"), state="TESTING")
    world.client().chat.completions.create(model=model, messages=ASK)
    text = httpx.get(f"{world.gateway.url}/").text
    assert model in text and "1 server<" in text and "stable" in text and hidden not in text
    assert "<script>alert" not in text and "org/&lt;script&gt;" in text and "no server answers now" in text
    assert "our &lt;lab&gt;" in text
    world.ledger.move("dhostile", "RETIRED")


def test_facts_of_a_card() -> None:
    """Means of what was seen; nothing where nobody asked."""
    seen = {"ttft_s": 3.0, "ttft_count": 6, "completion_tokens": 400, "prompt_tokens": 600, "duration_s": 8.0}
    seen["cost"] = 2
    served = Served("d", "org/m", "abc", "stable", 0, 1, 8)
    card = own_card("org/m", (served,), 2, 3, seen)
    assert card.state == "2 servers" and dict(card.facts) == {
        "Now": "3 requests", "First byte": "0.50 s", "Speed": "50 tokens/s",
        "Cost": "2000.00 per million tokens",
    }  # fmt: skip
    assert own_card("org/m", (served,), 1, 0, None).facts == (("Now", "idle"),) and not speed(None)
    assert not own_card("org/m", (served,), 0, 0, None).up


def test_a_name_stays_in_its_quotes() -> None:
    """In the shell's quotes of curl and in Python's."""
    found = dict(snippets("http://here", "a'b\"c"))
    assert "\"a'\\''b\\\"c\"" in found["curl"] and 'model="a\'b\\"c"' in found["Python, openai"]


def test_only_our_files_are_given(world: World) -> None:
    """Templates, code and what lies above the folder are not."""
    for name in ("files.py", "models.html.jinja", "../app.py", "..%2fapp.py", "", "nothing.js"):
        assert httpx.get(f"{world.gateway.url}/assets/{name}").status_code == 404
        assert asset(name) is None


def test_a_key_sees_its_own_usage_only(world: World) -> None:
    """As JSON and CSV, by several groups; a wrong question is answered with what is wrong; no key, nothing."""
    model = world.model(world.backend("/w"))
    mine, other = new_key(world.settings, "stable", name="mine"), new_key(world.settings, "stable", name="other")
    for key in (mine, mine, other):
        world.gateway.client(key).chat.completions.create(model=model, messages=ASK)

    def get(query: str, key: str = mine) -> httpx.Response:
        return httpx.get(f"{world.gateway.url}/v1/usage?{query}", headers={"authorization": f"Bearer {key}"})

    found = get("by=key,model").json()
    assert found["whose"] == "mine" and found["by"] == ["key", "model"]
    assert [(one["model"], one["requests"], one["completion_tokens"]) for one in found["data"]] == [(model, 2, 10)]
    answer = get("by=model&format=csv&days=1")
    assert answer.headers["content-type"].startswith("text/csv")
    assert [one["requests"] for one in csv.DictReader(io.StringIO(answer.text))] == ["2"]
    for wrong in ("by=colour", "days=x", "days=-1", "days=nan"):
        assert get(wrong).status_code == 400, wrong
    assert get("by=model", "dz-nobody").status_code == 401
    db = open_store(world.settings.gateway_path)
    admin = keys.issue(db, "olga", [], kind="admin")
    everybody = get("by=model", admin).json()
    assert everybody["whose"] == "everybody"
    assert [one["requests"] for one in everybody["data"] if one["model"] == model] == [3]
    headers = {"authorization": f"Bearer {admin}"}
    assert httpx.get(f"{world.gateway.url}/v1/models", headers=headers).status_code == 401
    keys.revoke(db, admin[: len("dza-") + 8])
    assert get("by=model", admin).status_code == 401
    db.close()


def test_a_report_is_for_whoever_has_its_link(world: World) -> None:
    """Without a key; apart from all else here, since a model wrote in it; any other address opens nothing."""
    shared = world.settings.site.shared
    report = RunFolder(shared, "toy-1").gauntlet(2) / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<title>PASS</title>")
    public = world.settings.gateway.model_copy(update={"public_url": world.gateway.url})
    link = reports.link(world.settings.model_copy(update={"gateway": public}), "toy-1", 2)
    answer = httpx.get(link)
    assert (answer.status_code, answer.text) == (200, "<title>PASS</title>")
    policy = answer.headers["content-security-policy"]
    assert "sandbox allow-scripts;" in policy and "allow-same-origin" not in policy and "default-src 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    for wrong in (link[:-1], link.replace("/2/", "/3/"), f"{link}/x", f"{world.gateway.url}/reports/..%2f..%2fkey/2/0"):
        refused = httpx.get(wrong)
        assert refused.status_code == 404 and "no report behind this link" in refused.json()["error"]["message"], wrong
    report.unlink()
    assert httpx.get(link).status_code == 404
