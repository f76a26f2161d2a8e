"""Mail from the same ledger: alerts for the team, notices for owners who have an address. Each once, in order."""

import smtplib
import ssl
import zlib
from email.message import EmailMessage

from bot import stories
from bot.people import email_of
from lifecycle import cursors, queries
from lifecycle.errors import ChatUnavailable
from lifecycle.ledger import Ledger
from lifecycle.records import Deployment, Event
from lifecycle.settings import Settings

CURSOR = "told_mail"
TIMEOUT_S = 20


class Mailer:
    """`step()` sends what the events since the last step ask for; ChatUnavailable stops it there until the next one."""

    def __init__(self, settings: Settings, ledger: Ledger):
        self._mail = settings.mail
        self._people = settings.people
        self._ledger = ledger

    def step(self) -> int:
        """The number of mails sent."""
        if not self._mail.host:
            return 0
        db = self._ledger.connection
        sent = 0
        for event in queries.events_after(db, cursors.get(db, CURSOR)):
            deployment = queries.deployment(db, event.deployment_id) if event.deployment_id else None
            for recipient, subject, body in self._letters(event, deployment):
                self._send(event, recipient, subject, body)
                sent += 1
            cursors.put(self._ledger, CURSOR, event.id)
        return sent

    def _letters(self, event: Event, deployment: Deployment | None) -> list[tuple[str, str, str]]:
        """(recipient, subject, body) of each mail that this event asks for."""
        if event.kind == "release.offered" and event.release_id is not None:
            release = queries.release(self._ledger.connection, event.release_id)
            body = (
                release.refusal
                or f"{release.repo} is published. Approve it in Slack, or with `dayzero approve {release.id}`."
            )
            return [(to, f"New: {release.repo}", body) for to in self._mail.alerts_to]
        if deployment is None:
            return []
        if event.victim_id is not None and (told := stories.owner_line(event, deployment)):
            address = email_of(event.detail.get("user", ""), self._people)
            return [(address, f"Your Slurm job {event.detail['handle']}", told)] if address else []
        if event.kind in stories.MAILED and (line := stories.line(event, deployment)):
            return [(to, f"{deployment.model}: {event.new}", line) for to in self._mail.alerts_to]
        return []

    def _send(self, event: Event, recipient: str, subject: str, body: str) -> None:
        letter = EmailMessage()
        letter["From"] = self._mail.sender
        letter["To"] = recipient
        letter["Subject"] = " ".join(subject.split())[:200]
        # the same id after a kill between sending and writing down: mail programs show it once
        letter["Message-ID"] = f"<event-{event.id}-{zlib.crc32(recipient.encode()):08x}@dayzero>"
        letter.set_content(body)
        try:
            with smtplib.SMTP(self._mail.host, self._mail.port, timeout=TIMEOUT_S) as server:
                if self._mail.starttls:
                    server.starttls(context=ssl.create_default_context())
                if self._mail.user and self._mail.password:
                    server.login(self._mail.user, self._mail.password.get_secret_value())
                server.send_message(letter)
        except smtplib.SMTPRecipientsRefused as refusal:
            self._ledger.note(
                "note.mail_refused",
                deployment_id=event.deployment_id,
                detail={"to": recipient, "sentence": str(refusal)},
            )
        except (smtplib.SMTPException, OSError) as error:
            raise ChatUnavailable(f"The mail server takes nothing ({type(error).__name__}).") from None
