"""Things that go wrong on purpose: an answer replaced, late, cut short, dripping or missing."""

import re
import threading
from dataclasses import asdict, dataclass, field, fields, replace


@dataclass(frozen=True)
class Fault:
    """One misfortune, for the next `times` requests whose path (with query) contains `match`, a regular expression.

    status        answer this instead, with `headers` and `body` (JSON), and don't ask the app
    delay         seconds to wait before answering
    hang          never answer: the client's own timeout ends it
    cut_after     send this many body bytes, then drop the connection
    bytes_per_s   drip the body at this speed
    """

    match: str = ""
    method: str = ""
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: object = None
    delay: float = 0.0
    hang: bool = False
    cut_after: int | None = None
    bytes_per_s: float = 0.0

    def __post_init__(self) -> None:
        re.compile(self.match)
        if not (self.status or self.delay or self.hang or self.cut_after is not None or self.bytes_per_s):
            raise ValueError("this fault does nothing: give status, delay, hang, cut_after or bytes_per_s")

    def hits(self, method: str, target: str) -> bool:
        """Whether this fault is for such a request."""
        return self.times > 0 and self.method in ("", method) and re.search(self.match, target) is not None


class Faults:
    """The faults still to come, oldest first. Thread-safe: tests add them while the server runs."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, target: str) -> Fault | None:
        """The first fault for this request, which then has one time less to strike."""
        with self._lock:
            for index, fault in enumerate(self._waiting):
                if fault.hits(method, target):
                    left = replace(fault, times=fault.times - 1)
                    self._waiting[index : index + 1] = [left] if left.times else []
                    return fault
        return None

    def waiting(self) -> list[dict[str, object]]:
        """What is still to strike, as JSON-ready dicts."""
        with self._lock:
            return [asdict(fault) for fault in self._waiting]


def fault_from(data: object) -> Fault:
    """A Fault out of decoded JSON; ValueError names a field that doesn't exist."""
    if not isinstance(data, dict):
        raise ValueError("a fault is a JSON object")
    if unknown := set(data) - {f.name for f in fields(Fault)}:
        raise ValueError(f"a fault has no {', '.join(sorted(unknown))}; it has {[f.name for f in fields(Fault)]}")
    try:
        return Fault(**data)
    except (TypeError, re.error) as error:
        raise ValueError(f"not a fault: {error}") from error
