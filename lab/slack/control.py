"""The workspace's switches, over HTTP: faults, the request log, the envelopes. For tests and demos."""

from lab.slack.wire import Wire


class Control:
    """Faults and logs of the workspace at `url`."""

    def __init__(self, url: str, timeout: float = 10.0):
        self.wire = Wire(url, timeout)

    def faults(self, **wanted: object) -> dict:
        answer = self.wire.post("/_lab/faults", wanted)
        if not answer["ok"]:
            raise ValueError(answer["text"])
        return answer

    def outage(self, how: str | bool = "503") -> None:
        """Every call answers 503 (or `how="refuse"`: is cut unanswered) until False; the sockets drop."""
        self.faults(outage=how)

    def rate_limit(self, count: int = 1, retry_after: int = 1, methods: tuple[str, ...] = ()) -> None:
        """The next `count` calls (of `methods`) answer 429 with Retry-After seconds."""
        self.faults(rate_limit={"count": count, "retry_after": retry_after, "methods": methods})

    def fail(self, count: int = 1, error: str = "internal_error", methods: tuple[str, ...] = (), status=200) -> None:
        """The next `count` calls answer `{"ok": false, "error": error}` without doing anything."""
        self.faults(fail={"count": count, "error": error, "status": status, "methods": methods})

    def lose_answers(self, count: int = 1, methods: tuple[str, ...] = ()) -> None:
        """The next `count` calls are done, but the connection is cut before the answer."""
        self.faults(lose_answers={"count": count, "methods": methods})

    def latency(self, seconds: float) -> None:
        self.faults(latency=seconds)

    def disconnect(self, warn: bool = True) -> int:
        """Drop the app's sockets, as Slack does (a `disconnect` frame first) or, without `warn`, just cut them."""
        return self.faults(disconnect="warn" if warn else "cut")["dropped"]

    def clear(self) -> None:
        self.faults(clear=True)

    def requests(self, method: str | None = None) -> list[dict]:
        """Calls of the app, oldest first: time, method, args (without tokens), status, error, fault."""
        return self.wire.get("/_lab/requests", **({"method": method} if method else {}))["requests"]

    def envelopes(self) -> list[dict]:
        """What was sent over Socket Mode: type, event, acknowledged, ms, retry_attempt."""
        return self.wire.get("/_lab/envelopes")["envelopes"]

    def sockets(self) -> int:
        """How many Socket Mode connections are open."""
        return self.wire.get("/_lab/envelopes")["sockets"]
