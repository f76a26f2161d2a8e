"""Mail over real SMTP: text and HTML, STARTTLS with a checked certificate, the login, refusals, an outage."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from bot import letters
from bot.hooks.catalogue import CATALOGUE
from bot.mail import Mailer
from lab.smtp.server import Sink
from lifecycle import queries, releases
from lifecycle.errors import BadSettings, ChatUnavailable
from lifecycle.jobs import Forecast, Victim
from lifecycle.ledger import Ledger
from lifecycle.models import ModelFacts
from lifecycle.settings import Settings
from tests.lifecycle.town import SHA, plan

REPO = "acme/Tiny-Good"
NAME = "tiny-good-3f2a1b"
EVIL = "<script>alert('x')</script>"
BOB = Victim(handle="17", name="train", user="bob", node_count=1, gpus=1, ran_s=7200)


class Desk:
    """A ledger with one approved release, and a mailer to `sink`."""

    def __init__(self, folder: Path, sink: Sink, **mail):
        self.ledger = Ledger(folder / "ledger.db", lambda: 1_000_000.0)
        self.db = self.ledger.connection
        post = {"host": "127.0.0.1", "port": sink.port, "alerts_to": ["team@example.com"], **mail}
        people = {"mail_domain": "example.com"}
        self.mailer = Mailer(Settings.model_validate({"mail": post, "people": people}), self.ledger)
        self.ledger.found("model", REPO, SHA)
        facts = ModelFacts(repo=REPO, revision=SHA, license=EVIL, params=7_000_000_000)
        self.ledger.learn(self.release, facts, replace(plan(REPO), forecast=Forecast(starts_at=None, victims=(BOB,))))
        self.ledger.move_release(self.release, "offered")

    @property
    def release(self):
        return queries.releases_in(self.db, *releases.RELEASE.table)[0]

    def approve(self) -> None:
        assert self.ledger.approve(self.release, self.release.plan, by="alice")

    def move(self, *events: str, **detail) -> None:
        for event in events:
            self.ledger.move_deployment(queries.deployment(self.db, NAME), event, detail=detail)


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


def html(letter) -> str:
    return letter.message.get_body(("html",)).get_content()


def test_a_letter_is_text_and_html_and_escaped(tmp_path: Path, stack) -> None:
    """The same facts twice; what comes from outside is shown as it stands; owners get theirs; each once."""
    sink = stack.enter_context(Sink(tmp_path / "mail"))
    desk = Desk(tmp_path, sink)
    assert desk.mailer.step() == 1 and desk.mailer.step() == 0
    (letter,) = sink.messages
    assert letter.recipients == ("team@example.com",) and letter.subject == f"New: {REPO}"
    for shown in (letter.text, html(letter)):
        assert "job 17 train of bob, 2.0 GPU-hours at stake" in shown and "dayzero approve 1" in shown
    assert EVIL in letter.text and EVIL not in html(letter) and "&lt;script&gt;" in html(letter)
    assert letter.message["Auto-Submitted"] == "auto-generated"
    desk.approve()
    desk.move("broke", sentence="No room.", tail=f"Traceback {EVIL}")
    (victim,) = queries.victims_of(desk.db, NAME)
    desk.ledger.move_victim(victim, "cancelled")
    desk.ledger.note("server.gone", deployment_id=NAME, detail={"gpu_hours": 12.0})
    desk.move("cancelled", "drained")
    desk.ledger.note("note.promise", release_id=1, detail={"sentence": f"{REPO}: late.", "next_step": "Hurry."})
    desk.mailer.step()
    subjects = [(m.recipients[0], m.subject) for m in sink.messages[1:]]
    assert subjects == [
        ("bob@example.com", "Your Slurm job 17"),
        ("team@example.com", f"{REPO}: BROKEN"),
        ("bob@example.com", "Your Slurm job 17"),
        ("bob@example.com", f"The nodes are back: {REPO}"),
        ("team@example.com", f"Running late: {REPO}"),
    ]
    assert "Traceback &lt;script&gt;" in html(sink.messages[2])
    assert "12.0 GPU-hours" in sink.messages[4].text and "must be submitted again" in sink.messages[4].text
    assert "Hurry." in html(sink.messages[5])


def test_starttls_and_login(tmp_path: Path, stack) -> None:
    """Over TLS with the certificate that we trust, by name and password."""
    sink = stack.enter_context(Sink(tmp_path / "mail", starttls=True, users={"dz": "secret"}))
    more = {"starttls": True, "ca_file": str(sink.certificate), "user": "dz", "password": "secret"}
    desk = Desk(tmp_path, sink, **more)
    assert desk.mailer.step() == 1 and len(sink.messages) == 1


def test_tls_from_the_first_byte(tmp_path: Path, stack) -> None:
    """As on port 465: sent with a certificate that we trust, refused with one that we don't; both kinds at once: no."""
    sink = stack.enter_context(Sink(tmp_path / "mail", tls=True, users={"dz": "secret"}))
    more = {"tls": True, "ca_file": str(sink.certificate), "user": "dz", "password": "secret"}
    desk = Desk(tmp_path, sink, **more)
    assert desk.mailer.step() == 1 and len(sink.messages) == 1
    wary = Desk(tmp_path / "2", sink, **{**more, "ca_file": None})
    with pytest.raises(ChatUnavailable, match="SSLCertVerificationError"):
        wary.mailer.step()
    with pytest.raises(ValidationError, match="not by both"):
        Settings.model_validate({"mail": {"tls": True, "starttls": True}})


def test_what_was_before_mail_is_not_told(tmp_path: Path, stack) -> None:
    """Switched on after a while, and again after it was off: only what comes from then on; nothing of it is lost."""
    sink = stack.enter_context(Sink(tmp_path / "mail"))
    desk = Desk(tmp_path, sink)
    on = desk.mailer._mail
    note = {"sentence": f"{REPO}: late.", "next_step": "Hurry."}
    with desk.ledger.write() as db:
        db.execute("DELETE FROM cursors")
    off, again = Settings(), Settings.model_validate({"mail": on.model_dump()})
    assert Mailer(again, desk.ledger).step() == 0
    desk.ledger.note("note.promise", release_id=1, detail=note)
    assert Mailer(again, desk.ledger).step() == 1, "a restart is no new beginning"
    assert Mailer(off, desk.ledger).step() == 0
    desk.ledger.note("note.promise", release_id=1, detail=note)
    mailer = Mailer(again, desk.ledger)
    desk.ledger.note("note.promise", release_id=1, detail=note)
    assert mailer.step() == 1 and len(sink.messages) == 2


def test_a_card_that_is_drawn_afresh_is_one_letter(tmp_path: Path, stack) -> None:
    """A push while nobody has decided brings the card back; the mailbox has heard of it."""
    sink = stack.enter_context(Sink(tmp_path / "mail"))
    desk = Desk(tmp_path, sink)
    desk.mailer.step()
    desk.ledger.move_release(desk.release, "pushed", revision="b" * 40)
    desk.ledger.move_release(desk.release, "offered")
    assert desk.mailer.step() == 0 and len(sink.messages) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"ca_file": None}, "SSLCertVerificationError"),
        ({"password": "wrong"}, "does not let dz in"),
        ({"starttls": False}, "takes nothing"),
    ],
    ids=["a certificate nobody vouches for", "a wrong password", "no TLS where it is wanted"],
)
def test_what_is_wrong_with_the_line_is_said_and_nothing_is_lost(tmp_path: Path, stack, change: dict, why: str) -> None:
    """The letter waits in the ledger; mended, it goes out."""
    sink = stack.enter_context(Sink(tmp_path / "mail", starttls=True, users={"dz": "secret"}))
    good = {"starttls": True, "ca_file": str(sink.certificate), "user": "dz", "password": "secret"}
    desk = Desk(tmp_path, sink, **{**good, **change})
    for _ in range(2):
        with pytest.raises(ChatUnavailable, match=why):
            desk.mailer.step()
    assert sink.messages == []
    there = {"host": "127.0.0.1", "port": sink.port, "alerts_to": ["team@example.com"]}
    mended = Settings.model_validate({"mail": {**good, **there}})
    assert Mailer(mended, desk.ledger).step() == 1 and len(sink.messages) == 1


def test_a_password_is_not_sent_in_the_clear(tmp_path: Path, stack) -> None:
    """To another host only over TLS; this very host is no line."""
    sink = stack.enter_context(Sink(tmp_path / "mail"))
    desk = Desk(tmp_path, sink, host="mail.example.com", user="dz", password="secret")
    with pytest.raises(BadSettings, match="in the clear"):
        desk.mailer.step()


def test_a_refused_mailbox_does_not_stop_the_others(tmp_path: Path, stack) -> None:
    """It is noted in the history; the next one gets theirs."""
    sink = stack.enter_context(Sink(tmp_path / "mail"))
    desk = Desk(tmp_path, sink, alerts_to=["nobody@example.com", "team@example.com"])
    sink.refuse(match="nobody")
    desk.mailer.step()
    assert [m.recipients for m in sink.messages] == [("team@example.com",)]
    assert "note.mail_refused" in [e.kind for e in queries.events_after(desk.db, 0)]


def test_a_framework_is_announced_with_its_notes(tmp_path: Path) -> None:
    """Title and address of the release."""
    ledger = Ledger(tmp_path / "ledger.db", lambda: 1.0)
    ledger.found("framework", "vllm-project/vllm", "v9", notes={"title": "v9: fast", "url": "https://x.example/v9"})
    letter = letters.offered(queries.release(ledger.connection, 1))
    assert "v9: fast" in letter.text and "https://x.example/v9" in letter.html


def test_mail_tells_what_the_channel_is_told(tmp_path: Path, stack) -> None:
    """Slurm's silence, an update, another try: the sentence, the next step, in text and HTML."""
    sink = stack.enter_context(Sink(tmp_path / "mail"))
    desk = Desk(tmp_path, sink)
    desk.mailer.step()
    desk.approve()
    desk.ledger.note("note.scheduler_silent", detail={"sentence": "squeue timed out."})
    desk.ledger.note("note.update", release_id=1, deployment_id=NAME, detail={"sentence": EVIL, "next_step": "Swap."})
    desk.ledger.note(
        "note.retry_offered", deployment_id=NAME, detail={"sentence": "v9 lists it.", "next_step": "Retry."}
    )
    desk.move("cached")
    desk.mailer.step()
    shown = [
        (m.subject.strip(), m.text.strip().splitlines()[0])
        for m in sink.messages
        if m.recipients == ("team@example.com",)
    ]
    assert shown[1:] == [
        ("dayzero: Slurm gives no answer", "Slurm is silent: squeue timed out. Nothing is lost."),
        (f"{REPO}: {CATALOGUE['note.update']}", f"{EVIL} Swap."),
        (f"{REPO}: {CATALOGUE['note.retry_offered']}", "v9 lists it. Retry."),
    ]
    assert all(EVIL not in html(m) for m in sink.messages)


def test_who_wants_more_or_less_says_so(tmp_path: Path, stack) -> None:
    """By the names of the catalogue; what has no sentence is told by its meaning; a name that is none is refused."""
    sink = stack.enter_context(Sink(tmp_path / "mail"))
    desk = Desk(tmp_path, sink, events=["server.*"])
    desk.approve()
    desk.move("cached")
    desk.ledger.want_server(queries.deployment(desk.db, NAME))
    desk.mailer.step()
    team = [m for m in sink.messages if m.recipients == ("team@example.com",)]
    assert [m.text.splitlines()[0] for m in team] == ["A server is needed."]
    with pytest.raises(BadSettings, match=r"mail\.events: no event is called 'deployment\.pased'"):
        Desk(tmp_path / "2", sink, events=["deployment.pased"])
