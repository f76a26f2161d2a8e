"""The pages in a real Chromium: a model is tried and answers in pieces, usage is shown, nothing is loaded elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, Page, chromium
from tests.gateway.conftest import World
from tests.gateway.world import new_key
from tests.waiting import until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on the PATH; install `chromium` or set CHROMIUM"),
]

WORDS = ["Brno", " is", " in", " <b>Moravia</b>", "."]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


def close(page: Page, world: World) -> None:
    """No error in the console, no request to anywhere else."""
    assert page.errors == []
    assert all(url.startswith((world.gateway.url, "data:", "blob:")) for url in page.requests), page.requests
    page.close()


def overflow(page: Page) -> bool:
    return bool(page.js("document.documentElement.scrollWidth > innerWidth"))


def test_try_a_model(world: World, browser: Browser) -> None:
    """Key pasted, model chosen from the link, the answer grows while it comes and is text, not HTML; a second turn."""
    backend = world.backend("/w", mode="hold", words=list(WORDS))
    model = world.model(backend)
    page = browser.open(f"{world.gateway.url}/")
    page.click(f'a[href$="{model}"]')
    page.click("#key")
    page.type(new_key(world.settings, "stable"))
    page.press("Tab")
    page.wait_for(f"document.querySelector('#model').value === '{model}'", 30)
    page.click("#words")
    page.type("Where is Brno?")
    page.press("Enter", "ctrl")
    page.wait_for("document.querySelector('.said.assistant')?.innerText === 'Brno is'", 30)
    backend.release()
    page.wait_for("document.querySelector('.said.assistant').innerText.endsWith('<b>Moravia</b>.')", 30)
    page.wait_for("document.querySelector('#figures').innerText.startsWith('5 tokens')", 30)
    page.click("#words")
    page.type("And Olomouc?")
    page.click("#send")
    page.wait_for("document.querySelectorAll('.said.assistant').length === 2", 30)
    page.wait_for("!document.querySelector('#send').disabled", 30)
    assert [one["role"] for one in backend.seen[-1]["messages"]] == ["user", "assistant", "user"]
    assert page.js("sessionStorage.getItem('dayzero-key').startsWith('dz-') && localStorage.length === 0")
    close(page, world)


def test_stop_and_trouble(world: World, browser: Browser) -> None:
    """Stop ends the answer at the backend too; a refusal is shown in the gateway's words; the question comes back."""
    backend = world.backend("/w", mode="hold")
    model = world.model(backend)
    page = browser.open(f"{world.gateway.url}/try?model={model}")
    page.js(f"sessionStorage.setItem('dayzero-key', '{new_key(world.settings, 'stable')}')")
    page.goto(f"{world.gateway.url}/try?model={model}")
    page.wait_for("!document.querySelector('#send').disabled", 30)
    page.js("document.querySelector('#words').value = 'Hello'")
    page.click("#send")
    page.wait_for("document.querySelector('.said.assistant')?.innerText === 'Brno is'", 30)
    page.click("#stop")
    page.wait_for("!document.querySelector('#send').disabled", 30)
    until(lambda: backend.left == 1, 30, "the backend to hear of it")
    backend.mode = "crash"
    page.js("document.querySelector('#words').value = 'Again'")
    page.click("#send")
    page.wait_for("!document.querySelector('#problem').hidden", 30)
    assert "server failed" in page.text("#problem") and page.js("document.querySelector('#words').value") == "Again"
    page.errors.clear()  # Chromium itself logs the status 502
    close(page, world)


def test_usage_is_shown(world: World, browser: Browser) -> None:
    """The table of the key's own usage, by what was chosen; a wrong key is told so."""
    model = world.model(world.backend("/w"))
    key = new_key(world.settings, "stable")
    world.gateway.client(key).chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    page = browser.open(f"{world.gateway.url}/usage")
    page.click("#key")
    page.type(key)
    page.click("button.main")
    page.wait_for(f"document.querySelector('#table td')?.innerText === '{model}'", 30)
    assert page.js("[...document.querySelectorAll('#table tbody td')].map((one) => one.innerText)[1]") == "1"
    assert not page.js("document.querySelector('#csv').disabled")
    page.js("document.querySelector('#key').value = 'dz-wrong'")
    page.click("button.main")
    page.wait_for("document.querySelector('#problem').innerText.includes('wrong, expired or revoked')", 30)
    page.errors.clear()  # Chromium itself logs the status 401
    close(page, world)


@pytest.mark.parametrize("path", ["", "try", "usage"])
def test_on_a_phone_and_in_the_dark(world: World, browser: Browser, path: str, tmp_path: Path) -> None:
    """Nothing sticks out at 360 pixels; dark means a dark page; a long name breaks."""
    world.model(world.backend("/w"))
    page = browser.open(f"{world.gateway.url}/{path}", width=360, height=740)
    assert not overflow(page)
    page.dark()
    page.wait_for("getComputedStyle(document.body).backgroundColor === 'rgb(20, 22, 26)'", 30)
    assert page.screenshot(tmp_path / "phone.png").stat().st_size > 5000
    close(page, world)
