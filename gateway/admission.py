"""Who has a word in whether a call is asked at all: limits and budgets. A worker holds its checks in `Gate.checks`."""

from typing import Protocol

from gateway.call import Call


class Check(Protocol):
    """On the way of every call: microseconds, no waiting."""

    def before(self, call: Call) -> None:
        """The call is parsed and nothing of it was asked. ApiError refuses it; `call.lines` are headers to answer."""

    def after(self, call: Call) -> None:
        """The call has ended, however it did, and holds its tokens and its cost. Once for each `before` that let it."""
