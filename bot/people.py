"""Who is who in Slack: a Slurm user's id, and who may approve. Answers of Slack are kept for a while."""

import re
import time
from collections.abc import Callable

from bot.addresses import Addresses
from bot.slack.gate import SlackGate, SlackRefused
from lifecycle.sections.telling import Slack

KEEP_S = 600
_USER_ID = re.compile(r"[UW][A-Z0-9]{4,}\Z")


class Directory:
    """Slack ids by address, and the set of approvers."""

    def __init__(
        self, gate: SlackGate, slack: Slack, addresses: Addresses, clock: Callable[[], float] = time.monotonic
    ):  # fmt: skip
        self._gate = gate
        self._slack = slack
        self._addresses = addresses
        self._clock = clock
        self._ids: dict[str, tuple[float, str | None]] = {}
        self._approvers: tuple[float, frozenset[str]] = (float("-inf"), frozenset())

    def slack_id(self, email: str) -> str | None:
        """None: Slack has nobody of that address."""
        kept = self._ids.get(email)
        if kept is None or self._clock() - kept[0] > KEEP_S:
            try:
                found = self._gate.call("users.lookupByEmail", email=email)["user"]["id"]
            except SlackRefused:
                found = None
            kept = self._ids[email] = (self._clock(), found)
        return kept[1]

    def slack_id_of_user(self, user: str) -> str | None:
        """Of a Slurm user; None: unmapped, then the channel is told instead."""
        email = self._addresses.of(user)
        return self.slack_id(email) if email else None

    def may_approve(self, user_id: str) -> bool:
        """Only the people and groups of slack.approvers; an empty list means nobody."""
        since, approvers = self._approvers
        if self._clock() - since > KEEP_S:
            approvers = frozenset(self._all_approvers())
            self._approvers = (self._clock(), approvers)
        return user_id in approvers

    def _all_approvers(self) -> set[str]:
        found: set[str] = set()
        for name in self._slack.approvers:
            if name.startswith("@"):
                found |= self._group(name[1:])
            elif "@" in name:
                found |= {user} if (user := self.slack_id(name)) else set()
            elif _USER_ID.match(name):
                found.add(name)
        return found

    def _group(self, handle: str) -> set[str]:
        for group in self._gate.call("usergroups.list")["usergroups"]:
            if group["handle"] == handle:
                return set(self._gate.call("usergroups.users.list", usergroup=group["id"])["users"])
        return set()
