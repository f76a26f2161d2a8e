"""An SMTP server that delivers into a folder. In a thread of this process; `python -m lab.smtp` is its own process."""

import hmac
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from lab.loopback.server import LOOPBACK, listen
from lab.smtp.certificate import server_context
from lab.smtp.letters import Letter, Letters
from lab.smtp.refusals import Refusal, Refusals

SIZE_LIMIT = 32 * 1024 * 1024


class Delivery:
    """What aiosmtpd calls: refuse as told, keep the rest."""

    def __init__(self, letters: Letters, refusals: Refusals, login: bool) -> None:
        self.letters, self.refusals, self.login = letters, refusals, login

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.login and not session.authenticated:  # aiosmtpd's own check warns when there is no TLS
            return "530 5.7.0 Authentication required"
        if reply := self.refusals.take("MAIL", address):
            return reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if reply := self.refusals.take("RCPT", address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if reply := self.refusals.take("DATA", envelope.mail_from or ""):
            return reply
        self.letters.add(envelope.mail_from or "", envelope.rcpt_tos, envelope.original_content or b"")
        return "250 OK: kept"


class Sink:
    """SMTP on 127.0.0.1.

    folder     where the .eml files go
    starttls   offer STARTTLS
    tls        speak TLS from the first byte on
               for both, trust `certificate` (a PEM file in the folder), or `trusting()`
    users      name → password; given, every mail needs AUTH (after STARTTLS where that is offered)
    """

    def __init__(
        self, folder: Path | str, port: int = 0, *, starttls: bool = False, tls: bool = False,
        users: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.letters, self.refusals = Letters(Path(folder)), Refusals()
        self.certificate = Path(folder) / "certificate.pem"
        self._users = dict(users or {})
        self._tls = server_context(self.certificate) if starttls else None
        self._implicit = server_context(self.certificate) if tls else None
        self.port = port or _free_port()
        self.host = LOOPBACK
        self._controller: Controller | None = None

    def start(self) -> Self:
        """Accept mail; returns itself."""
        secured = {"tls_context": self._tls, "require_starttls": True} if self._tls else {}
        if self._implicit:
            secured = {"ssl_context": self._implicit}
        login = {"authenticator": self._authenticate, "auth_require_tls": self._tls is not None}
        self._controller = Controller(
            Delivery(self.letters, self.refusals, login=bool(self._users)),
            hostname=LOOPBACK,
            port=self.port,
            data_size_limit=SIZE_LIMIT,
            server_hostname="localhost",
            ready_timeout=10,
            **secured,
            **(login if self._users else {}),
        )
        self._controller.start()
        return self

    def stop(self) -> None:
        """Idempotent."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def messages(self) -> list[Letter]:
        """What was accepted, oldest first."""
        return self.letters.all()

    def refuse(
        self, reply: str = "550 5.1.1 No such mailbox", match: str = "", stage: str = "RCPT", times: int = 1
    ) -> None:
        """Say no to the next `times` addresses that contain `match`, a regular expression."""
        self.refusals.add(Refusal(stage, reply, match, times))

    def trusting(self) -> ssl.SSLContext:
        """A client's TLS context that trusts this server and no other."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        # handled=False: otherwise aiosmtpd drops the connection where a real server answers 535
        refused = AuthResult(success=False, handled=False)
        if mechanism not in ("LOGIN", "PLAIN") or not isinstance(data, LoginPassword):
            return refused
        password = self._users.get(data.login.decode(errors="replace"))
        if password is None or not hmac.compare_digest(password.encode(), data.password):
            return refused
        return AuthResult(success=True, auth_data=data.login)


def _free_port() -> int:
    with listen() as bound:
        return bound.getsockname()[1]
