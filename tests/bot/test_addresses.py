"""From a Slurm user to an address: which source is believed first, what is kept, and that no name becomes an option."""

import subprocess
import sys

import pytest

from bot.addresses import KEEP_S, KEEP_UNKNOWN_S, Addresses, run
from lifecycle.sections.telling import People


class Site:
    """A directory that counts how often it is asked."""

    def __init__(self, answer: str | Exception = "", comment: str | None = None):
        self.answer, self.comment, self.asked, self.now = answer, comment, [], 0.0

    def run(self, command: list[str]) -> str:
        self.asked.append(command)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def gecos(self, user: str) -> str:
        if self.comment is None:
            raise KeyError(user)
        return self.comment

    def addresses(self, **people: object) -> Addresses:
        return Addresses(People(**people), run=self.run, gecos=self.gecos, clock=lambda: self.now)


COMMAND = ("ldapsearch", "-LLL", "uid={user}", "mail")
LDIF = "dn: uid=bob,dc=example\nmail: Bob.B@example.org\n"


@pytest.mark.parametrize(
    ("people", "answer", "comment", "wanted"),
    [
        ({"emails": {"bob": "b@x.org"}, "command": COMMAND, "mail_domain": "d.org"}, LDIF, None, "b@x.org"),
        ({"command": COMMAND, "mail_domain": "d.org"}, LDIF, "Bob,,,b@gecos.org", "Bob.B@example.org"),
        ({"command": COMMAND, "mail_domain": "d.org"}, "no such object", "b@gecos.org", "bob@d.org"),
        ({"command": COMMAND}, subprocess.TimeoutExpired("ldapsearch", 10), "Bob <b@gecos.org>,,,", "b@gecos.org"),
        ({"command": COMMAND}, FileNotFoundError(), "Bob", None),
        ({}, LDIF, None, None),
    ],
)
def test_sources_in_their_order(people: dict, answer: str, comment: str | None, wanted: str | None) -> None:
    """The settings' map, the site's command, the domain, the system's directory; a source that fails is passed over."""
    assert Site(answer, comment).addresses(**people).of("bob") == wanted


def test_answers_are_kept_and_so_is_that_nobody_knows() -> None:
    """One question for each user in a while; who is unknown is asked for again sooner."""
    site = Site(LDIF)
    found = site.addresses(command=COMMAND)
    for site.now in (0, KEEP_S - 1):
        assert found.of("bob") == "Bob.B@example.org"
    assert site.asked == [["ldapsearch", "-LLL", "uid=bob", "mail"]]
    site.now, site.answer = KEEP_S, ""
    assert found.of("bob") is None and found.of("bob") is None and len(site.asked) == 2
    site.now, site.answer = KEEP_S + KEEP_UNKNOWN_S, LDIF
    assert found.of("bob") == "Bob.B@example.org" and len(site.asked) == 3


@pytest.mark.parametrize("user", ["", "-h", "a b", "x;y", "../x", "a*", "a" * 80])
def test_what_is_no_user_name_is_asked_of_nobody(user: str) -> None:
    """It would be an option or a pattern of the command."""
    site = Site(LDIF, "a@b.org")
    assert site.addresses(command=COMMAND, mail_domain="d.org").of(user) is None and not site.asked


def test_a_real_command() -> None:
    """Words, no shell; a failure is one."""
    script = "import sys; print('mail:', sys.argv[1] + '@site.org')"
    assert Addresses(People(command=(sys.executable, "-c", script, "{user}"))).of("bob") == "bob@site.org"
    with pytest.raises(subprocess.SubprocessError):
        run([sys.executable, "-c", "raise SystemExit(1)"])
