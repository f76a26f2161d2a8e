"""A Slurm user's e-mail address: from the settings, else from where the site keeps it. Answers are kept for a while."""

import logging
import pwd
import re
import subprocess
import time
from collections.abc import Callable, Sequence

from lifecycle.sections.telling import People

log = logging.getLogger("dayzero.people")

KEEP_S, KEEP_UNKNOWN_S = 3600, 600
PATIENCE_S = 10
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


def run(command: Sequence[str]) -> str:
    """What it prints. Raises OSError, or subprocess.SubprocessError when it fails or takes too long."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True, errors="replace")
    return done.stdout


def gecos(user: str) -> str:
    """The comment of the system's directory (NSS: files, LDAP, …); KeyError: it has no such user."""
    return pwd.getpwnam(user).pw_gecos


class Addresses:
    """`of(user)`: people.emails, then people.command, then people.mail_domain, then the system's directory."""

    def __init__(
        self, people: People, *, run: Callable[[Sequence[str]], str] = run, gecos: Callable[[str], str] = gecos,
        clock: Callable[[], float] = time.monotonic,
    ):  # fmt: skip
        self._people = people
        self._run = run
        self._gecos = gecos
        self._clock = clock
        self._kept: dict[str, tuple[float, str | None]] = {}

    def of(self, user: str) -> str | None:
        """None: nobody knows; that is asked again after KEEP_UNKNOWN_S."""
        if user in self._people.emails:
            return self._people.emails[user]
        if not _USER.match(user):  # it becomes a word of a command
            return None
        until, address = self._kept.get(user, (float("-inf"), None))
        if self._clock() >= until:
            address = self._asked(user) or self._by_domain(user) or self._listed(user)
            self._kept[user] = (self._clock() + (KEEP_S if address else KEEP_UNKNOWN_S), address)
        return address

    def _asked(self, user: str) -> str | None:
        if not self._people.command:
            return None
        try:
            return _first(self._run([word.replace("{user}", user) for word in self._people.command]))
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("people.command does not know %s: %s", user, type(error).__name__)
            return None

    def _by_domain(self, user: str) -> str | None:
        return f"{user}@{self._people.mail_domain}" if self._people.mail_domain else None

    def _listed(self, user: str) -> str | None:
        try:
            return _first(self._gecos(user))
        except (KeyError, OSError):
            return None


def _first(text: str) -> str | None:
    found = _ADDRESS.search(text)
    return found[0] if found else None
