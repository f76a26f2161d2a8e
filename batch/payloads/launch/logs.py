"""Following a log that another process, maybe on another node, appends to."""

from pathlib import Path

KEEP = 200_000  # characters of each end: the root cause stands before pages of consequences


class Log:
    """From where it ended when we began: an earlier attempt's lines are not this one's."""

    def __init__(self, path: Path):
        self.path = path
        self._at = path.stat().st_size if path.exists() else 0
        self._head = self._tail = self._rest = ""

    def fresh(self) -> list[str]:
        """Whole lines that are new; a progress bar's redrawing counts as a line."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except OSError:
            return []
        self._at += len(data)
        text = data.decode(errors="replace")
        self._keep(text)
        *lines, self._rest = (self._rest + text).replace("\r", "\n").split("\n")
        self._rest = self._rest[-KEEP:]
        return lines

    @property
    def size(self) -> int:
        return self._at

    @property
    def text(self) -> str:
        """What this attempt wrote; of a long log its beginning and its end."""
        self.fresh()
        return self._head + self._tail

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.text.replace("\r", "\n").rstrip().split("\n")[-lines:])

    def _keep(self, text: str) -> None:
        room = KEEP - len(self._head)
        self._head += text[:room]
        self._tail = (self._tail + text[room:])[-KEEP:] if room < len(text) else self._tail
