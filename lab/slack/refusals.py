"""The one way the workspace says no."""


class Refusal(Exception):
    """Slack's `{"ok": false, "error": <code>}`; `details` become `response_metadata.messages`."""

    def __init__(self, code: str, details: list[str] | None = None, **more: object):
        super().__init__(code)
        self.code = code
        self.details = details
        self.more = more

    def body(self) -> dict:
        body = {"ok": False, "error": self.code, **self.more}
        if self.details:
            body["response_metadata"] = {"messages": self.details}
        return body
