"""What a person does on Slack's page in a real browser: approve, grade, extend, retire, look at Home."""

from pathlib import Path

import pytest

from lifecycle import deployments, queries
from tests.bot.office import MODEL, Office
from tests.bot.test_grading import held
from tests.bot.test_slack_commands import PREVIEW
from tests.browser import Browser, Page, chromium
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine")]

PATIENCE = 60


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Gauntlet's own browser is not what is looked at here."""
    monkeypatch.setattr("gauntlet.picture.BROWSERS", ())


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


def opened(browser: Browser, office: Office, name: str, channel: str = "models") -> Page:
    page = browser.open(f"{office.slack.url}/?as={name}", 1280, 1000)
    place = f"#channels a[href='#C0{channel.upper()}']"
    # the list is drawn anew while the page opens: a click on what goes away is lost, a call of the link is not
    page.wait_for(
        f"""(document.querySelector("{place}")?.click(),
        document.querySelector('#title')?.innerText === '#{channel}')""",
        PATIENCE,
    )
    return page


def sees(page: Page, words: str, where: str = "#log") -> None:
    page.wait_for(f"document.querySelector('{where}')?.innerText.includes({words!r})", PATIENCE)


def deployed(office: Office):
    return until(lambda: queries.deployments(office.parts.ledger.connection), PATIENCE, "a deployment")[0]


def finish(page: Page, folder: Path, name: str) -> None:
    """Nothing complained, and a picture for whoever wants to look."""
    page.screenshot(folder / f"{name}.png")
    assert page.errors == []
    page.close()


def test_approve_quantized_then_extend_then_retire(browser: Browser, office: Office, tmp_path: Path) -> None:
    """Both plans are on the card; the quantized one is approved by a click. Approved for a time, it is extended and
    retired by its buttons; each answer is on the page."""
    office.parts.offers.ask(MODEL, None, by="bob", hours=2)
    office.chat.tell()
    page = opened(browser, office, "alice")
    sees(page, "Quantized instead:")
    page.screenshot(tmp_path / "card.png")
    page.click("[data-action-id=approve_quantized]", PATIENCE)
    made = deployed(office)
    assert made.plan.quantization == "fp8" and made.created_by == "alice"
    sees(page, "is on its way as")
    ledger = office.parts.ledger
    for event in PREVIEW:
        ledger.move_deployment(queries.deployment(ledger.connection, made.id), event)
    office.chat.tell()
    page.click("[data-action-id=extend]", PATIENCE)
    sees(page, "serves 12 hours longer")
    page.click("[data-action-id=retire]", PATIENCE)
    sees(page, f"{made.id} is draining")
    office.chat.tell()
    sees(page, "DRAINING")
    finish(page, tmp_path, "deployed")


def test_grading_in_the_window(browser: Browser, office: Office, tmp_path: Path) -> None:
    """Two people, a page each: the window shows question and answer and keeps what they say; the channel's message
    counts; at the end the window says so."""
    name, _ = held(office, {"one": "It is 42, because six times seven is 42.", "two": "About 40, *probably* <b>."})
    office.chat.tell()
    for person in ("alice", "bob"):
        page = opened(browser, office, person, "grading")
        sees(page, "answer")
        page.click("[data-action-id=grade]", PATIENCE)
        for n in range(2):
            page.wait_for(f"document.querySelector('#modal')?.innerText.includes('rated {n} of 2')", PATIENCE)
            assert "tiny" not in page.text("#modal"), "blind"
            if not n:
                page.screenshot(tmp_path / f"window-{person}.png")
            page.click("#modal label:has(input[type=radio])", PATIENCE)
            page.click("#modal .btn.primary", PATIENCE)
        sees(page, "Nothing is left for you", "#modal")
        page.press("Escape")
        office.chat.tell()
        sees(page, f"{person} rated 2")
        finish(page, tmp_path, f"grading-{person}")
    verdict = office.parts.world.exams.regraded(queries.deployment(office.parts.ledger.connection, name), 1)
    assert verdict.outcome != "INCONCLUSIVE"


def test_home_on_the_page(browser: Browser, office: Office, tmp_path: Path) -> None:
    """What is served, what is coming, the cluster and the cost, live: a round later it shows what has changed."""
    page = opened(browser, office, "bob")
    page.click("#dms a", PATIENCE)
    page.click("[data-tab=home]", PATIENCE)
    for words in ("What is served", "What waits for a decision", MODEL, "The cluster", "0 of 4 held", "Cost today"):
        sees(page, words, "#home")
    assert office.alice.click("approve", channel="#models")
    made = deployed(office)
    office.chat._looking._next = 0
    office.chat.tell()
    sees(page, made.id, "#home")
    assert deployments.CACHING in page.text("#home")
    finish(page, tmp_path, "home")
