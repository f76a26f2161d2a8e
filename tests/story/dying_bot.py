"""`dayzero bot` that dies by SIGKILL after the first transaction in which it writes an event. For the crash test."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bot.cli import main
from lifecycle.ledger import Ledger

_note, _write = Ledger.note, Ledger.write
_noted = False


def note(self: Ledger, *args: object, **kwargs: object) -> int | None:
    global _noted
    _noted = True
    return _note(self, *args, **kwargs)


@contextmanager
def write(self: Ledger) -> Iterator:
    outermost = not self.connection.in_transaction
    with _write(self) as connection:
        yield connection
    if outermost and _noted:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    Ledger.note, Ledger.write = note, write
    sys.exit(main(["bot"]))
