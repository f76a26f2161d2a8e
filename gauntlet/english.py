"""Is this English that a person would accept? Cheap signs, each of which catches one way a served model breaks.

A wrong tokenizer gives mojibake, a wrong template gives debris, wrong weights give word salad, a broken attention
kernel repeats itself. No sign needs a language model.
"""

import re
import zlib
from collections import Counter
from itertools import pairwise

from gauntlet.languages import ENGLISH, other_than_english

SPECIAL_TOKENS = re.compile(
    r"<\|[^|<>\n]{1,40}\|>"
    r"|</?s>|<(?:eos|bos|pad|unk|mask)>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|<0x[0-9A-F]{2}>"
    r"|\[(?:PAD|UNK|CLS|SEP)\]|<｜[^｜<>\n]{1,40}｜>|[Ġ▁Ċ]"
)
DEBRIS = re.compile(
    r"(?:\A|\n)\s*(?:###\s*)?(?:user|assistant|system|human|instruction|response)\s*(?::|\n)", re.IGNORECASE
)
MOJIBAKE = re.compile("\ufffd|â€|Ã[\u0080-\u00bf©¨¼¶¤±§]|Â[\u00a0-\u00bf]|ï»¿|ðŸ")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)
NAME = re.compile(r"\b[A-Z][^\W\d_]*")
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")

LATIN_AT_LEAST = 0.9
FUNCTION_WORDS_AT_LEAST = 0.15  # English prose has 0.4 and more; lists of nouns little
COMPRESSES_TO_AT_LEAST = 0.14  # of the text's bytes by zlib, from 400 bytes on; prose has 0.4, a loop 0.05


def debris(text: str) -> str:
    """What of the chat template or the vocabulary leaked into the text, or ''."""
    found = SPECIAL_TOKENS.search(text) or DEBRIS.search(text)
    return found.group().strip() if found else ""


def fault_of(text: str, min_words: int = 3) -> str:
    """Why this is not good English, as the end of a sentence ("the answer …"), or '' when nothing speaks against it."""
    words = [word.lower() for word in WORD.findall(text)]
    if not text.strip():
        return "is empty"
    if found := MOJIBAKE.search(text):
        return f"holds wrongly decoded characters ({found.group()!r})"
    if found := CONTROL.search(text):
        return f"holds a control character ({found.group()!r})"
    if len(words) < min_words:
        return f"has {len(words)} words, fewer than {min_words}"
    letters = [char for char in text if char.isalpha()]
    latin = sum(char < "\u0250" for char in letters) / len(letters)
    if latin < LATIN_AT_LEAST:
        return f"is written in another script ({1 - latin:.0%} of its letters are not Latin)"
    prose = CODE.sub(" ", text)
    words_of_prose = [word.lower() for word in WORD.findall(prose)]
    return _looping(text, words) or other_than_english(words_of_prose) or _salad(prose)


def _looping(text: str, words: list[str]) -> str:
    run = longest = 1
    for before, word in pairwise(words):
        run = run + 1 if word == before else 1
        longest = max(longest, run)
    if longest >= 5:
        return f"repeats one word {longest} times in a row"
    raw = text.encode()
    if len(raw) >= 400 and len(zlib.compress(raw, 9)) / len(raw) < COMPRESSES_TO_AT_LEAST:
        return "repeats itself over and over"
    phrase, times = (
        Counter(zip(words, words[1:], words[2:], strict=False)).most_common(1)[0] if len(words) > 2 else ((), 0)
    )
    if times >= 6 and times * 3 > len(words) / 2:
        return f"repeats “{' '.join(phrase)}” {times} times"
    return ""


def _salad(prose: str) -> str:
    """Names are left out: a list of them is no salad."""
    words = [word.lower() for word in WORD.findall(NAME.sub(" ", prose))]
    common = sum(word in ENGLISH for word in words)
    if len(words) < (12 if common else 8):
        return ""
    share = common / len(words)
    if share < FUNCTION_WORDS_AT_LEAST:
        return f"doesn't read like English: {share:.0%} of its words are common ones"
    mean = sum(map(len, words)) / len(words)
    if not 2 <= mean <= 9:
        return f"doesn't read like English: its words have {mean:.1f} letters on average"
    return ""
