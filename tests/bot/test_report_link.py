"""The Gauntlet's report in the thread: a picture and a link; the page itself where there are no links."""


import pytest

from lab.slack.person import words
from lifecycle import queries, releases
from tests.bot.office import Office

TESTING = ("cached", "healthy", "listed")


def _examined(office: Office, *, picture: bool) -> None:
    """A deployment passes; its report lies in a folder."""
    office.publish()
    with office.parts.ledger.write() as db:
        db.execute("UPDATE watches SET due_at = 0")
    office.parts.watch()
    ledger = office.parts.ledger
    (release,) = queries.releases_in(ledger.connection, releases.OFFERED)
    made = ledger.approve(release, release.plan, by="alice")
    for event in TESTING:
        ledger.move_deployment(queries.deployment(ledger.connection, made), event)
    for name in ("report.png", "report.html") if picture else ("report.html",):
        (office.folder / name).write_bytes(b"x")
    detail = {"outcome": "PASS", "run": 1, "report": str(office.folder / "report.html")}
    detail["picture"] = str(office.folder / "report.png") if picture else ""
    ledger.move_deployment(queries.deployment(ledger.connection, made), "passed", verdict=detail, detail=detail)


def _reachable(office: Office, url: str) -> None:
    """The gateway has an address that people can open."""
    office.stop()
    settings = office.settings
    gateway = settings.gateway.model_copy(update={"public_url": url})
    office.settings = settings.model_copy(update={"gateway": gateway})
    office.start()


def _thread(office: Office) -> list[dict]:
    (card,) = office.alice.messages("#models")
    return office.alice.thread("#models", card["ts"])


@pytest.mark.parametrize("picture", [True, False])
def test_a_picture_and_a_link(quiet_office: Office, picture: bool) -> None:
    """The picture has the link beside it; without a picture the link stands alone; no page is uploaded; once."""
    _reachable(quiet_office, "https://models.example.com")
    _examined(quiet_office, picture=picture)
    for _ in range(2):
        quiet_office.chat.tell()
    (report,) = [one for one in _thread(quiet_office) if "Report of Gauntlet run 1" in words(one)]
    assert "https://models.example.com/reports/" in words(report)
    assert [file["name"] for file in report.get("files") or ()] == (["report.png"] if picture else [])


def test_the_page_itself_where_nobody_could_open_a_link(quiet_office: Office) -> None:
    """Without a public address the report is uploaded, as before."""
    _reachable(quiet_office, "")
    _examined(quiet_office, picture=True)
    quiet_office.chat.tell()
    (report,) = [one for one in _thread(quiet_office) if "Report of Gauntlet run 1" in words(one)]
    assert [file["name"] for file in report["files"]] == ["report.png", "report.html"]
    assert "/reports/" not in words(report)
