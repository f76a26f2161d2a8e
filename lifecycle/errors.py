"""Every error of the project answers one question: is it worth trying again?

DayzeroError
├── Transient            try again by itself, later
│   ├── SchedulerSilent  Slurm gave no answer (down, overloaded, timed out)
│   ├── HubUnavailable   the Hub or GitHub answered 429/5xx or not at all; `retry_after_s` when it said so
│   │   └── Throttled    we asked too often: whatever we ask it next must wait as well
│   └── ChatUnavailable  Slack or the mail server gave no answer; `retry_after_s` when it said so
└── Permanent            a person must change something first; `next_step` says what
    ├── BadSettings      the settings file is wrong: key, what was found, what was expected
    ├── UnknownModel     no such repository or revision, or this token may not see it
    ├── NoWeights        the repository holds nothing that can be served
    ├── Refused          the planner, a guard rail or a policy says no
    ├── NoSpace          the file system has no room
    ├── SubmissionRefused  Slurm answered the submission with no
    ├── WrongMove        that event is impossible in that state
    ├── NotFound         no row of that name
    └── NotAllowed       this person may not do this
"""


class DayzeroError(Exception):
    """`str(error)` is one plain sentence; `next_step` (may be empty) is what the reader can do about it."""

    retryable = False

    def __init__(self, sentence: str, next_step: str = "", retry_after_s: float | None = None):
        super().__init__(sentence)
        self.next_step = next_step
        self.retry_after_s = retry_after_s

    @property
    def advice(self) -> str:
        """The sentence and the next step, as shown to a person."""
        return f"{self} {self.next_step}".strip()


class Transient(DayzeroError):
    retryable = True


class SchedulerSilent(Transient):
    pass


class HubUnavailable(Transient):
    pass


class Throttled(HubUnavailable):
    pass


class ChatUnavailable(Transient):
    pass


class Permanent(DayzeroError):
    pass


class BadSettings(Permanent):
    pass


class UnknownModel(Permanent):
    pass


class NoWeights(Permanent):
    pass


class Refused(Permanent):
    pass


class NoSpace(Permanent):
    pass


class SubmissionRefused(Permanent):
    pass


class WrongMove(Permanent):
    pass


class NotFound(Permanent):
    pass


class NotAllowed(Permanent):
    pass
