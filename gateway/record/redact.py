"""What must not stand in a log of requests: keys, e-mail addresses, and whatever the operator names. Pure."""

import re
from collections.abc import Iterable

GONE = "[redacted]"
LONGEST = 8000
"""Letters of one string that are kept."""

ALWAYS = (
    r"\bdza?-[0-9a-f]{8}-[\w-]{10,}",  # our own keys, without the public part too
    r"\b(?:sk|pk|rk|hf|ghp|gho|ghs|glpat|xox[abeprs]|AKIA|AIza)[-_]?[\w-]{16,}",
    r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
    r"(?i)\b(?:bearer|basic)\s+[\w.~+/=-]{8,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    r"(?i)\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}\b",
)
DATA = re.compile(r"data:[\w.+/-]{0,100};base64,[\w+/=]{100,}")


class Redactor:
    def __init__(self, more: Iterable[str] = ()):
        """`more`: regular expressions. re.error when one is none."""
        self._patterns = [re.compile(one, re.DOTALL) for one in (*ALWAYS, *more)]

    def text(self, text: str) -> str:
        """Redacted first and cut then: a cut must not save half of a secret."""
        text = DATA.sub(lambda found: f"[{len(found[0])} letters of data]", text)
        for pattern in self._patterns:
            text = pattern.sub(GONE, text)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}… [{len(text) - LONGEST} letters more]"

    def value(self, value: object) -> object:
        """Every string in a JSON value, names of fields too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        return value
