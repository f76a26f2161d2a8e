"""Bad days on demand: outage, rate limits, errors, slowness, answers lost after the work was done."""

from dataclasses import dataclass, field
from random import Random

OUTAGES = ("", "503", "refuse")


@dataclass
class Next:
    """A fault for the next `count` calls of `methods` (all when empty); with `share` for that part of them, by dice
    that always fall the same.
    """

    count: int
    methods: tuple[str, ...] = ()
    detail: dict = field(default_factory=dict)
    share: float = 1.0
    dice: Random = field(default_factory=lambda: Random(1))

    def strikes(self, method: str) -> bool:
        if self.count <= 0 or (self.methods and method not in self.methods):
            return False
        if self.share < 1 and self.dice.random() >= self.share:
            return False
        self.count -= 1
        return True


@dataclass
class Faults:
    """`outage`: "" none, "503" every call answers 503, "refuse" the connection is cut before any answer.

    `latency` is in seconds, before the work. `rate_limited` answers 429 with Retry-After; `failing` answers a Slack
    error with HTTP 200; `losing` does the work, then cuts the connection (the duplicate-post trap: slack_sdk sends
    the same call again by itself).
    """

    outage: str = ""
    latency: float = 0.0
    rate_limited: list[Next] = field(default_factory=list)
    failing: list[Next] = field(default_factory=list)
    losing: list[Next] = field(default_factory=list)

    def set(self, wanted: dict) -> None:
        """Apply a control request; ValueError in a plain sentence for what it can't read."""
        for name, value in wanted.items():
            if name == "outage":
                value = {True: "503", False: "", None: ""}.get(value, value)
                if value not in OUTAGES:
                    raise ValueError(f"outage is one of {OUTAGES}, not {value!r}")
                self.outage = value
            elif name == "latency":
                self.latency = float(value)
            elif name == "clear":
                self.__init__()
            elif name in ("rate_limit", "fail", "lose_answers"):
                faults = {"rate_limit": self.rate_limited, "fail": self.failing, "lose_answers": self.losing}[name]
                detail = {key: value[key] for key in value if key not in ("count", "methods", "share")}
                methods, share = tuple(value.get("methods", ())), float(value.get("share", 1))
                faults.append(Next(int(value.get("count", 1)), methods, detail, share))
            elif name != "disconnect":
                raise ValueError(f"no fault called {name!r}")

    def strike(self, faults: list[Next], method: str) -> dict | None:
        """The detail of the first fault that hits this call, or None."""
        for fault in faults:
            if fault.strikes(method):
                return fault.detail
        return None
