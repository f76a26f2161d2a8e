"""Mail from the same ledger: alerts for the team, notices for owners who have an address. Each once, in order."""

import smtplib
import zlib
from collections.abc import Iterator
from email.message import EmailMessage

from bot import letters, promise, stories
from bot.addresses import Addresses
from bot.hooks.catalogue import checked, wanted
from bot.letters import Letter
from bot.postman import connection
from lifecycle import cursors, queries, reports
from lifecycle.errors import ChatUnavailable
from lifecycle.ledger import Ledger
from lifecycle.records import Deployment, Event
from lifecycle.settings import Settings

CURSOR = "told_mail"
TIMEOUT_S = 20


class Mailer:
    """`step()` sends what the events since the last step ask for; ChatUnavailable stops it there until the next one.

    What happened before mail was switched on is not told.
    """

    def __init__(self, settings: Settings, ledger: Ledger):
        self._settings = settings
        self._mail = settings.mail
        self._addresses = Addresses(settings.people)
        self._warn_minutes = settings.cluster.guards.warn_minutes
        self._ledger = ledger
        checked("mail.events", self._mail.events)
        (cursors.begin if self._mail.host else cursors.forget)(ledger, CURSOR)

    def step(self) -> int:
        """The number of mails sent."""
        if not self._mail.host:
            return 0
        db = self._ledger.connection
        sent = 0
        for event in queries.events_after(db, cursors.get(db, CURSOR)):
            deployment = queries.deployment(db, event.deployment_id) if event.deployment_id else None
            for recipient, letter in self._letters(event, deployment):
                self._send(event, recipient, letter)
                sent += 1
            cursors.put(self._ledger, CURSOR, event.id)
        return sent

    def _letters(self, event: Event, deployment: Deployment | None) -> Iterator[tuple[str, Letter]]:
        """(recipient, letter) of each mail that this event asks for."""
        if wanted(event.kind, self._mail.events) and (letter := self._alert(event, deployment)) is not None:
            for to in self._mail.alerts_to:
                yield to, letter
        if deployment is None:
            return
        if event.victim_id is not None:
            told = stories.owner_line(event, deployment, self._warn_minutes)
            address = self._addresses.of(event.detail.get("user", ""))
            if told and address:
                yield address, letters.owner(event, told)
        elif event.kind == "deployment.drained":
            yield from self._back(deployment)

    def _alert(self, event: Event, deployment: Deployment | None) -> Letter | None:
        if event.kind == promise.KIND:
            return letters.promise(event)
        if event.kind == "release.offered" and event.release_id is not None:
            release = queries.release(self._ledger.connection, event.release_id)
            return letters.offered(release) if self._first(event) else None
        report = reports.address(self._settings, deployment.id, event.detail) if deployment else ""
        return letters.alert(event, deployment, report)

    def _first(self, event: Event) -> bool:
        """A card that is drawn afresh after each commit is one letter."""
        earlier = "SELECT 1 FROM events WHERE kind = ? AND release_id = ? AND id < ?"
        found = self._ledger.connection.execute(earlier, (event.kind, event.release_id, event.id))
        return found.fetchone() is None

    def _back(self, deployment: Deployment) -> Iterator[tuple[str, Letter]]:
        db = self._ledger.connection
        made_room = [v for v in queries.victims_of(db, deployment.id) if v.state in stories.FATES]
        taken = queries.gpu_hours_of(db, deployment.id)
        for user in sorted({v.user for v in made_room}):
            if address := self._addresses.of(user):
                told = stories.back_for(user, deployment, made_room, taken)
                yield address, letters.back(deployment, told, [v.handle for v in made_room if v.user == user])

    def _send(self, event: Event, recipient: str, letter: Letter) -> None:
        try:
            with connection(self._mail, TIMEOUT_S) as server:
                server.send_message(message(event, self._mail.sender, recipient, letter))
        except smtplib.SMTPRecipientsRefused as refusal:
            self._ledger.note(
                "note.mail_refused",
                deployment_id=event.deployment_id,
                detail={"to": recipient, "sentence": str(refusal)},
            )
        except smtplib.SMTPAuthenticationError:
            raise ChatUnavailable(
                f"The mail server does not let {self._mail.user} in.", "Mend mail.user or DAYZERO_MAIL_PASSWORD."
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise ChatUnavailable(f"The mail server takes nothing ({type(error).__name__}).") from None


def message(event: Event, sender: str, recipient: str, letter: Letter) -> EmailMessage:
    """Text, and the same as HTML."""
    made = EmailMessage()
    made["From"] = sender
    made["To"] = recipient
    made["Subject"] = " ".join(letter.subject.split())[:200]
    # the same id after a kill between sending and writing down: mail programs show it once
    made["Message-ID"] = f"<event-{event.id}-{zlib.crc32(recipient.encode()):08x}@dayzero>"
    made["Auto-Submitted"] = "auto-generated"  # no out-of-office answers
    made.set_content(letter.text)
    made.add_alternative(letter.html, subtype="html")
    return made
