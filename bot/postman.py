"""One SMTP connection by the settings: TLS with a checked certificate, at once or later, the login, then letters."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from lifecycle.errors import BadSettings
from lifecycle.sections.telling import Mail

THIS_HOST = ("localhost", "127.0.0.1", "::1")


@contextmanager
def connection(mail: Mail, timeout_s: float) -> Iterator[smtplib.SMTP]:
    """Raises what smtplib raises. A password goes over an encrypted line, or to this very host; else BadSettings."""
    if mail.user and not (mail.starttls or mail.tls) and mail.host not in THIS_HOST:
        advice = "Set mail.starttls = true (port 587), or mail.tls = true (port 465)."
        raise BadSettings(f"mail.password would go to {mail.host} in the clear.", advice)
    with _open(mail, timeout_s) as server:
        if mail.starttls:
            server.starttls(context=_trust(mail))
        if mail.user and mail.password:
            server.login(mail.user, mail.password.get_secret_value())
        yield server


def _open(mail: Mail, timeout_s: float) -> smtplib.SMTP:
    if mail.tls:
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=timeout_s, context=_trust(mail))
    return smtplib.SMTP(mail.host, mail.port, timeout=timeout_s)


def _trust(mail: Mail) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=mail.ca_file)
