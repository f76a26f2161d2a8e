"""A model behind the gateway as the probes see it, and what they ask with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import anthropic
import openai

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Brno"]}},
    "required": ["city"],
    "additionalProperties": False,
}
CITY = {"city": "Brno"}


@dataclass
class Place:
    """A model behind the gateway, and what is known of it. `leaving` is called before a caller hangs up, and gives a
    question to ask then: has the backend stopped? `reached`: did a field arrive there? None: nobody can see. `learned`:
    it can think and fill in a tool's arguments; a tiny one is made to call the tool, and may say anything with it."""

    url: str
    key: str
    model: str
    question: str
    answer: str
    stop: str
    leaving: Callable[[], Callable[[], bool]] | None
    learned: bool = True
    reached: Callable[[str], bool] | None = None
    long: dict = field(default_factory=dict)
    folder: Path = Path()

    @cached_property
    def chat(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, timeout=60)

    @cached_property
    def claude(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.url, api_key=self.key, max_retries=0, timeout=60)

    def called(self, calls: list[tuple[str, object]]) -> bool:
        """These calls of tools (name, arguments) are what was asked for."""
        if self.learned:
            return calls == [("weather", CITY)]
        return [name for name, _ in calls] == ["weather"]  # with what it happens to say: it depends on its training

    def close(self) -> None:
        self.chat.close()
        self.claude.close()

    @property
    def asked(self) -> list[dict]:
        return [{"role": "user", "content": self.question}]

    @property
    def waiting(self) -> list[dict]:
        return [{"role": "user", "content": f"{self.question} But wait."}]


@contextmanager
def stranger(place: Place) -> Iterator[Place]:
    """The same with a key that nobody gave out."""
    wrong = replace(place, key="dz-wrong")
    try:
        yield wrong
    finally:
        wrong.close()


def refused(kind: type[Exception], status: int, asks: Callable[[], object]) -> None:
    """It ends in the client's own error of this kind, with a sentence."""
    try:
        asks()
    except kind as error:
        assert error.status_code == status and len(str(error)) > 20
    else:
        raise AssertionError(f"not refused with {status}")
