"""Which language is this, if not English? By the small words that no sentence does without. Standard library only.

A word counts less the more of these languages know it ("in" is German, Dutch, Latin and English), and words that names
are made of ("de la", "van der") prove nothing by themselves. Other scripts are told apart before this is asked; what is
none of these languages shows by its want of English small words (gauntlet/english.py).
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_LINES = re.sub(r"\n  ", " ", Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")).splitlines()
FOREIGN = {
    name: frozenset(words.split())
    for name, colon, words in (line.partition(":") for line in _LINES if not line.startswith("#"))
    if colon
}
ENGLISH = FOREIGN.pop("English")
IN_NAMES = frozenset("de la las los el del y e i do da dos das di della des du le les van von der den al en".split())
NEAR = frozenset({"Scots"})
"""Written with English small words all around: what is its own tells it, in every twelfth word."""
NEAR_AT_LEAST = 1 / 12
DISTINCT = 2  # words of a language's own, or with letters that English lacks: one odd word proves nothing
WINDOW, IN_WINDOW = 40, 5  # words; and how many distinct ones show that a long answer goes on in another language

_KNOWN_BY = Counter(word for words in (ENGLISH, *FOREIGN.values()) for word in words)


def other_than_english(words: Sequence[str]) -> str:
    """What these lower-case words are, as the end of a sentence ("the answer …"), or '' when they may be English."""
    if name := _language(words, DISTINCT):
        return f"looks {name}, not English"
    for start in range(0, len(words) - WINDOW + 1, WINDOW // 2):
        if name := _language(words[start : start + WINDOW], IN_WINDOW):
            return f"turns {name} after about {start} words"
    return ""


def _language(words: Sequence[str], distinct: int) -> str:
    english = _weight(words, ENGLISH)
    found = {name: _weight(words, known) for name, known in FOREIGN.items()}
    name = max(found, key=found.__getitem__)
    for near in NEAR:
        own = FOREIGN[near] - ENGLISH
        if len(own & set(words)) > distinct and sum(word in own for word in words) >= NEAR_AT_LEAST * len(words):
            return near
    own = {word for word in (FOREIGN[name] - ENGLISH - IN_NAMES) & set(words) if len(word) > 1}  # code has letters, too
    accented = {word for word in words if not word.replace("’", "").isascii()} - own
    return name if found[name] > english and own and len(own) + len(accented) >= distinct else ""


def _weight(words: Sequence[str], known: frozenset[str]) -> float:
    return sum(1 / _KNOWN_BY[word] for word in words if word in known)
