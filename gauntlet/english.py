"""Is this English that a person would accept? Cheap signs, each of which catches one way a served model breaks.

A wrong tokenizer gives mojibake, a wrong template gives debris, wrong weights give word salad, a broken attention
kernel repeats itself. No sign needs a language model.
"""

import re
import zlib
from collections import Counter
from itertools import pairwise

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
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")

ENGLISH = frozenset(
    "the of and to a in is it that for on with as was are be this by at from or an have not they which you one we all "
    "there can more if has had their what when who will would about how some could them than then its also into only "
    "other new so these may do any such many most over no my your his her our he she i me him us but because before "
    "after out up very every always where why while through between both each few own same too under until again once "
    "does did been being were just like well even make makes made take get use used good water time people day".split()
)
FOREIGN = {
    "German": frozenset(
        "der die das und ist nicht ein eine ich sie mit auf für von den dem zu sich auch es wird sind wir".split()
    ),
    "French": frozenset(
        "le la les et est une des du que qui pas dans pour sur avec ce il elle nous vous sont au ne se".split()
    ),
    "Spanish": frozenset(
        "el la los las y es una de que en no por con para su se del al como más pero son muy está".split()
    ),
    "Italian": frozenset(
        "il la che di è e un una per non con sono del della si le i gli nel alla più ma come anche".split()
    ),
    "Dutch": frozenset(
        "de het een en van is dat niet op te met voor zijn aan er ook als bij maar om uit naar wordt".split()
    ),
}
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
    return _looping(text, words) or _foreign(words) or _salad(words)


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


def _foreign(words: list[str]) -> str:
    english = sum(word in ENGLISH for word in words)
    language, hits = max(
        ((name, sum(word in common for word in words)) for name, common in FOREIGN.items()), key=lambda item: item[1]
    )
    return f"looks {language}, not English" if hits >= 2 and hits > english else ""


def _salad(words: list[str]) -> str:
    if len(words) < 8:
        return ""
    share = sum(word in ENGLISH for word in words) / len(words)
    if share < FUNCTION_WORDS_AT_LEAST:
        return f"doesn't read like English: {share:.0%} of its words are common ones"
    mean = sum(map(len, words)) / len(words)
    if not 2 <= mean <= 9:
        return f"doesn't read like English: its words have {mean:.1f} letters on average"
    return ""
