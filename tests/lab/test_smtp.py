"""The mail sink, asked by Python's own SMTP client."""

import smtplib
import ssl
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from lab.smtp.server import Sink
from tests.waiting import until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def letter(to: str = "bob@example.com", subject: str = "Größe: 5 → 6") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "bot@example.com", to, subject
    mail.set_content("Hällo\n.\na line of one dot, above\n")
    mail.add_attachment(PNG, maintype="image", subtype="png", filename="plot.png")
    return mail


def send(port: int, mail: EmailMessage) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        return client.send_message(mail)


def test_a_letter_arrives_as_it_was_sent(tmp_path: Path) -> None:
    """Envelope, umlauts, dots and attachment survive, in memory and in the .eml file."""
    with Sink(tmp_path) as sink:
        send(sink.port, letter("bob@example.com, dana@example.com"))
        (got,) = sink.messages
    assert (got.sender, got.recipients) == ("bot@example.com", ("bob@example.com", "dana@example.com"))
    assert got.subject == "Größe: 5 → 6"
    assert got.text.splitlines() == ["Hällo", ".", "a line of one dot, above"]
    assert got.attachments == [("plot.png", "image/png", PNG)]
    assert [file.name for file in tmp_path.glob("*.eml")] == ["00001.eml"]


def test_letters_outlive_the_sink(tmp_path: Path) -> None:
    """A second sink over the same folder shows the old letters and numbers on."""
    for subject in ("one", "two"):
        with Sink(tmp_path) as sink:
            send(sink.port, letter(subject=subject))
    assert [(got.number, got.subject) for got in sink.messages] == [(1, "one"), (2, "two")]


def test_refusals(tmp_path: Path) -> None:
    """One recipient, the sender or the contents are refused as told, as often as told, and nothing is kept of it."""
    with Sink(tmp_path) as sink:
        sink.refuse("550 5.1.1 No such mailbox", match="bob@")
        refused = send(sink.port, letter("bob@example.com, dana@example.com"))
        assert refused == {"bob@example.com": (550, b"5.1.1 No such mailbox")}
        assert [got.recipients for got in sink.messages] == [("dana@example.com",)]
        sink.refuse("451 4.3.0 Try again later", stage="MAIL")
        with pytest.raises(smtplib.SMTPSenderRefused) as caught:
            send(sink.port, letter())
        assert caught.value.smtp_code == 451
        sink.refuse("554 5.6.0 Not this", stage="DATA", times=2)
        for _ in range(2):
            with pytest.raises(smtplib.SMTPDataError):
                send(sink.port, letter())
        assert send(sink.port, letter()) == {}
        assert len(sink.messages) == 2
        with pytest.raises(ValueError, match="stage"):
            sink.refuse("250 fine")


def test_starttls_and_a_password(tmp_path: Path) -> None:
    """Mail needs TLS we can verify, then the right password; a wrong one is 535 on a connection that lives on."""
    with Sink(tmp_path, starttls=True, users={"bot": "right"}) as sink:
        with smtplib.SMTP("127.0.0.1", sink.port, timeout=10) as client:
            with pytest.raises(smtplib.SMTPSenderRefused) as early:
                client.send_message(letter())
            assert early.value.smtp_code == 530
            client.starttls(context=sink.trusting())
            with pytest.raises(smtplib.SMTPSenderRefused) as unknown:
                client.send_message(letter())
            assert unknown.value.smtp_code == 530
            with pytest.raises(smtplib.SMTPAuthenticationError) as wrong:
                client.login("bot", "wrong")
            assert wrong.value.smtp_code == 535
            client.login("bot", "right")
            client.send_message(letter())
        with smtplib.SMTP("127.0.0.1", sink.port, timeout=10) as client, pytest.raises(ssl.SSLError):
            client.starttls(context=ssl.create_default_context())
    assert len(sink.messages) == 1


def test_a_password_without_tls(tmp_path: Path) -> None:
    """A relay inside the walls may ask for a password on a plain connection."""
    with Sink(tmp_path, users={"bot": "right"}) as sink, smtplib.SMTP("127.0.0.1", sink.port, timeout=10) as client:
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.send_message(letter())
        client.login("bot", "right")
        client.send_message(letter())
    assert len(sink.messages) == 1


def test_a_process_of_its_own(tmp_path: Path) -> None:
    """`python -m lab.smtp` takes mail, shows it on its page with markup escaped, and refuses when told by HTTP."""
    port_file = tmp_path / "ports"
    argv = [sys.executable, "-m", "lab.smtp", "--folder", str(tmp_path / "mail"), "--print-port-file", str(port_file)]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        until(port_file.exists, 20, "the port file")
        smtp, http = (int(line) for line in port_file.read_text().split())
        send(smtp, letter(subject="<script>alert(1)</script>"))
        with httpx.Client(base_url=f"http://127.0.0.1:{http}", trust_env=False) as page:
            front = page.get("/").text
            assert "&lt;script&gt;" in front
            assert "<script>" not in front
            assert 'src="/letters/1/0"' in page.get("/letters/1").text
            assert page.get("/letters/1/0").content == PNG
            assert page.get("/letters/2").status_code == 404
            (row,) = page.get("/_lab/messages").json()
            assert (row["to"], row["attachments"][0]["size"]) == (["bob@example.com"], len(PNG))
            page.post("/_lab/refuse", json={"reply": "550 no"}).raise_for_status()
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                send(smtp, letter())
            assert page.delete("/_lab/messages").json() == []
    finally:
        server.terminate()
        server.communicate(timeout=10)
    assert server.returncode == 0
