"""One SMTP connection by the settings: STARTTLS with a checked certificate, then the login, then letters."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from lifecycle.errors import BadSettings
from lifecycle.settings import Mail

THIS_HOST = ("localhost", "127.0.0.1", "::1")


@contextmanager
def connection(mail: Mail, timeout_s: float) -> Iterator[smtplib.SMTP]:
    """Raises what smtplib raises. A password goes over an encrypted line, or to this very host; else BadSettings."""
    if mail.user and not mail.starttls and mail.host not in THIS_HOST:
        raise BadSettings(f"mail.password would go to {mail.host} in the clear.", "Set mail.starttls = true.")
    with smtplib.SMTP(mail.host, mail.port, timeout=timeout_s) as server:
        if mail.starttls:
            server.starttls(context=ssl.create_default_context(cafile=mail.ca_file))
        if mail.user and mail.password:
            server.login(mail.user, mail.password.get_secret_value())
        yield server
