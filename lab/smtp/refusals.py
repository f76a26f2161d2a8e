"""Replies that are no, given on purpose."""

import re
import threading
from dataclasses import dataclass, replace

STAGES = ("MAIL", "RCPT", "DATA")


@dataclass(frozen=True)
class Refusal:
    """Answer `reply` at `stage` for the next `times` addresses that contain `match` (DATA: the sender's)."""

    stage: str = "RCPT"
    reply: str = "550 5.1.1 No such mailbox"
    match: str = ""
    times: int = 1

    def __post_init__(self) -> None:
        if self.stage not in STAGES or not re.fullmatch(r"[45]\d\d .+", self.reply):
            raise ValueError(f"a refusal has a stage of {', '.join(STAGES)} and a reply like '550 No such mailbox'")
        re.compile(self.match)


class Refusals:
    """Those still to be given. Thread-safe."""

    def __init__(self) -> None:
        self._waiting: list[Refusal] = []
        self._lock = threading.Lock()

    def add(self, refusal: Refusal) -> None:
        with self._lock:
            self._waiting.append(refusal)

    def take(self, stage: str, address: str) -> str | None:
        """The reply for this address at this stage, or None to accept."""
        with self._lock:
            for index, refusal in enumerate(self._waiting):
                if refusal.stage == stage and re.search(refusal.match, address):
                    left = replace(refusal, times=refusal.times - 1)
                    self._waiting[index : index + 1] = [left] if left.times > 0 else []
                    return refusal.reply
        return None
