"""Accepted mail as a folder of .eml files, which any mail program opens."""

import itertools
import os
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

SENDER, RECIPIENTS = "X-Lab-Mail-From", "X-Lab-Rcpt-To"


@dataclass(frozen=True)
class Letter:
    """One accepted mail: the envelope, and the message as it was sent."""

    number: int
    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["subject"] or "")

    @property
    def text(self) -> str:
        """The plain text, or the HTML source where there is none; "" for neither."""
        body = self.message.get_body(("plain", "html"))
        return body.get_content() if body else ""

    @property
    def attachments(self) -> list[tuple[str, str, bytes]]:
        """(file name, content type, bytes) of each attached or inlined file."""
        found = []
        for part in self.message.walk():
            if part.get_filename() and not part.is_multipart():
                found.append((part.get_filename(), part.get_content_type(), part.get_payload(decode=True) or b""))
        return found


class Letters:
    """The letters in a folder, numbered from 1; those of an earlier run are still there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._numbers = itertools.count(max((int(file.stem) for file in self._files()), default=0) + 1)

    def add(self, sender: str, recipients: list[str], data: bytes) -> None:
        """Write one letter, the envelope in two headers of ours; whole or not at all."""
        envelope = f"{SENDER}: {sender}\r\n{RECIPIENTS}: {', '.join(recipients)}\r\n".encode()
        target = self.folder / f"{next(self._numbers):05d}.eml"
        partial = target.with_suffix(".part")
        partial.write_bytes(envelope + data)
        os.replace(partial, target)

    def all(self) -> list[Letter]:
        """Oldest first."""
        return [_letter(file) for file in self._files()]

    def find(self, number: int) -> Letter | None:
        """The letter of that number."""
        return next((_letter(file) for file in self._files() if int(file.stem) == number), None)

    def clear(self) -> None:
        """Throw all letters away."""
        for file in self._files():
            file.unlink()

    def _files(self) -> list[Path]:
        return sorted((file for file in self.folder.glob("*.eml") if file.stem.isdecimal()), key=lambda f: int(f.stem))


def _letter(file: Path) -> Letter:
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    sender, recipients = message[SENDER], message[RECIPIENTS]
    del message[SENDER], message[RECIPIENTS]
    return Letter(int(file.stem), str(sender), tuple(str(recipients).split(", ")), message)
