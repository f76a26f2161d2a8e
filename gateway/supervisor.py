"""Several workers on one port. The parent answers nobody: it starts them, replaces who dies, and ends them.

Each worker has a listening socket of its own (SO_REUSEPORT: the kernel spreads the callers), but the parent keeps all
of them open: when a worker is replaced, those who wait in its queue wait for the next one instead of being reset.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.log import say
from gateway.worker import CANT_START, DRAIN_S, work
from lifecycle.errors import BadSettings
from lifecycle.settings import Settings

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
READY_S = 30.0
LONGEST_PAUSE_S = 5.0
STEADY_S = 10.0
"""Who lived this long and dies is replaced at once."""

PR_SET_PDEATHSIG = 1


@dataclass
class Slot:
    listening: socket.socket
    admin: socket.socket | None = None
    pid: int = 0
    started: float = 0.0
    deaths: int = 0
    restart_at: float = 0.0
    elders: list[int] = field(default_factory=list)  # replaced, and still draining


def supervise(
    settings: Settings,
    sockets: Sequence[socket.socket],
    reload: Callable[[], Settings],
    admin: socket.socket | None = None,
) -> int:
    """Until SIGTERM; the exit status. SIGHUP: read the settings again and replace every worker, one after the other."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    slots = [Slot(listening, admin) for listening in sockets]
    for slot in slots:
        if not _start(slot, settings):
            _end(slots)
            return CANT_START
    while True:
        due = [slot.restart_at for slot in slots if not slot.pid]
        timeout = max(0.0, min(due) - time.monotonic()) if due else 60.0
        heard = signal.sigtimedwait(SIGNALS, timeout)
        if heard is not None and heard.si_signo in (signal.SIGTERM, signal.SIGINT):
            return _end(slots)
        if heard is not None and heard.si_signo == signal.SIGHUP:
            settings = _renew(slots, settings, reload)
        _reap(slots)
        for slot in slots:
            if not slot.pid and time.monotonic() >= slot.restart_at:
                _start(slot, settings)


def _start(slot: Slot, settings: Settings) -> bool:
    """A new worker in this slot; False: it didn't get ready, and the slot is as before."""
    heard, told = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(heard)
        code = CANT_START
        try:
            _be_a_child(parent)
            code = work(settings, slot.listening, lambda: (os.write(told, b"."), os.close(told)), slot.admin)
        finally:
            os._exit(code)
    os.close(told)
    try:
        readable, _, _ = select.select([heard], [], [], READY_S)
        if not readable or not os.read(heard, 1):
            say("worker.unready", pid=pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            slot.deaths += 1
            slot.restart_at = time.monotonic() + _pause(slot)
            return False
    finally:
        os.close(heard)
    slot.pid, slot.started = pid, time.monotonic()
    say("worker.started", pid=pid)
    return True


def _be_a_child(parent: int) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal sends it to the whole group; it is the parent's
    with contextlib.suppress(OSError, AttributeError):  # not on Linux: an orphan must then be ended by hand
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(0)


def _renew(slots: list[Slot], settings: Settings, reload: Callable[[], Settings]) -> Settings:
    try:
        settings = reload()
    except BadSettings as error:
        say("settings.refused", reason=error.advice)
        return settings
    for slot in slots:
        elder = slot.pid
        if not _start(slot, settings):
            say("restart.stopped", reason="A new worker did not get ready; the old ones go on.")
            break
        if elder:
            slot.elders.append(elder)
            _signal(elder, signal.SIGTERM)
    say("restarted", workers=len(slots))
    return settings


def _reap(slots: list[Slot]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        for slot in slots:
            if pid in slot.elders:
                slot.elders.remove(pid)
            elif pid == slot.pid:
                slot.deaths = 0 if time.monotonic() - slot.started > STEADY_S else slot.deaths + 1
                slot.pid, slot.restart_at = 0, time.monotonic() + _pause(slot)
                say("worker.died", pid=pid, status=os.waitstatus_to_exitcode(status))


def _pause(slot: Slot) -> float:
    return 0.0 if slot.deaths <= 1 else min(0.1 * 2**slot.deaths, LONGEST_PAUSE_S)


def _end(slots: list[Slot]) -> int:
    """Ask all to end, wait until they have; 1 when one had to be killed."""
    left = {pid for slot in slots for pid in (slot.pid, *slot.elders) if pid}
    for pid in left:
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + DRAIN_S + 10
    while left and time.monotonic() < deadline:
        for pid in list(left):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            left.discard(pid)
        if left:
            signal.sigtimedwait({signal.SIGCHLD}, 0.2)
    for pid in left:
        _signal(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return 1 if left else 0


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
