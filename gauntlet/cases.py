"""What the Gauntlet asks: suites of cases, as frozen values. Standard library only: a compute node imports this.

A sample is one case in one run; its id is `<suite>/<case>`. Importance says what a suite may decide:

    critical     must pass: its FAIL fails the model
    supporting   should pass: its FAIL asks a person
    advisory     is only shown
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

IMPORTANCES = ("critical", "supporting", "advisory")
NEEDS = {"json": "schema", "tool": "tools", "logprobs": "logprobs", "better": "rival"}
"""Check → what the endpoint, or the run, must offer; a case is left out of a run that doesn't."""
ALONE = frozenset({"speed", "load"})
"""Checks that measure: their samples are asked when nothing else is."""
MORE_REQUESTS = {"streamed": 1, "again": 2, "better": 1, "load": 100}
"""Check → requests beside the plain one."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One prompt and what is asked of the answer. Every check must pass; the last fields serve single checks."""

    id: str
    messages: tuple[Mapping[str, str], ...]
    checks: tuple[str, ...]
    category: str = ""
    max_tokens: int = 512
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    expected: str = ""  # exact, numeric, choice, whole: the right answer
    tolerance: float = 0.0  # numeric: the largest difference allowed
    contains: tuple[str, ...] = ()  # contains: words that must be there
    absent: tuple[str, ...] = ()  # contains: words that must not
    secret: str = ""  # secret: what may not be told
    reference: str = ""  # judged: what a right answer says
    min_words: int = 3  # english, answered
    first_token_within_s: float = 0.0  # speed: of half of the answers; 0: only shown
    tokens_per_s_at_least: float = 0.0  # speed: of all answers together; 0: only shown
    parallel: int = 1  # speed, together: requests at once; load: at most
    schema: Mapping[str, Any] | None = None  # json: what the answer must fit, sent as response_format
    tools: tuple[Mapping[str, Any], ...] = ()  # functions that the model may call, as {"name", "parameters", ...}
    call: Mapping[str, Any] | None = None  # tool: the call that is right, {"name", "arguments"}
    tests: str = ""  # code: Python that raises where the answer's code is wrong
    needle: Mapping[str, Any] | None = None  # {"fill", "depth"}: shares of the context, filled when a run is prepared
    source: str = ""  # how we know the answer; for people
    reserve: bool = False  # asked only where the others leave the suite open (gauntlet/second_look.py)

    @property
    def question(self) -> str:
        """The chat as a judge reads it."""
        if len(self.messages) == 1:
            return self.messages[0]["content"]
        return "\n".join(f"[{message['role']}] {message['content']}" for message in self.messages)

    @property
    def needs(self) -> frozenset[str]:
        """Of NEEDS."""
        return frozenset(NEEDS[check] for check in self.checks if check in NEEDS)

    @property
    def cost(self) -> float:
        """Expected work in tokens, for balancing shards; only the proportions matter."""
        requests = self.parallel + sum(MORE_REQUESTS.get(check, 0) for check in self.checks)
        prompt = sum(len(message["content"]) for message in self.messages) / 4
        return requests * (self.max_tokens / 2 + prompt / 8) + 20

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Case":
        """Back from JSON, where tuples are lists."""
        tuples = {"messages", "checks", "stop", "contains", "absent", "tools"}
        return cls(**{key: tuple(value) if key in tuples else value for key, value in data.items()})


@dataclass(frozen=True, kw_only=True)
class Suite:
    """`pass_rate` is the share of all such prompts that must pass; `confidence` how sure we want to be of it.

    A category in `zero_tolerance` fails the suite by a single failed sample; `category_pass_rate` asks a rate of one.
    `looks`: how often this run may look at the suite before it decides, which each look must pay for.
    """

    name: str
    title: str
    description: str = ""
    importance: str = "critical"
    pass_rate: float
    confidence: float = 0.95
    zero_tolerance: tuple[str, ...] = ()
    category_pass_rate: Mapping[str, float]
    cases: tuple[Case, ...] = ()
    looks: int = 1

    @property
    def level(self) -> float:
        """The confidence of each look, so that all of them together are as sure as `confidence` (Bonferroni)."""
        return 1 - (1 - self.confidence) / self.looks

    def rules(self) -> dict[str, Any]:
        """Everything but the cases, and what follows from them, for run.json."""
        return {key: value for key, value in asdict(self).items() if key not in ("cases", "looks")}

    @classmethod
    def of(cls, rules: Mapping[str, Any]) -> "Suite":
        return cls(**{**rules, "zero_tolerance": tuple(rules["zero_tolerance"])})


@dataclass(frozen=True)
class Sample:
    suite: str
    case: Case

    @property
    def id(self) -> str:
        return f"{self.suite}/{self.case.id}"
