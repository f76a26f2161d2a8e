"""A needle in a haystack: pages of dull notes around one sentence, as long as the model's context allows. Pure."""

from dataclasses import replace

from gauntlet.cases import Case

TOKENS_PER_WORD = 1.6  # these sentences have 1.2 to 1.4 with the vocabularies of today; too long would be refused
PLACE = "{haystack}"
PARTS = (
    ("The night shift", "The caretaker", "The second crew", "A visitor", "The harbour office", "The archivist"),
    ("noted", "reported", "wrote down", "mentioned", "confirmed", "repeated"),
    ("that the east gate", "that the lower store", "that the old pump", "that the reading room", "that the ferry bell"),
    ("was checked", "stayed closed", "was swept", "needed paint", "was quiet", "was lit", "was measured"),
    ("before noon", "after the rain", "on the usual round", "without a finding", "as in the week before"),
)


def filled(case: Case, context: int) -> Case:
    """The case with its haystack in place of {haystack}; itself when it has none.

    The first message that holds {haystack} holds the needle too: what stands there is put at `depth` of a text that
    fills `fill` of the `context` tokens that are served, minus what the answer may take.
    """
    if case.needle is None:
        return case
    room = context * case.needle["fill"] - case.max_tokens
    words = max(20, int(room / TOKENS_PER_WORD))
    messages = []
    for message in case.messages:
        head, mark, rest = message["content"].partition(PLACE)
        if mark:
            needle, _, question = rest.partition(PLACE)
            body = hidden(needle.strip(), words - len(head.split()) - len(rest.split()), case.needle["depth"])
            message = {**message, "content": f"{head}{body}{question}"}
        messages.append(message)
    return replace(case, messages=tuple(messages))


def hidden(needle: str, words: int, depth: float) -> str:
    """About so many words of notes, the needle at this share of them."""
    notes: list[str] = []
    count = 0
    while count < words:
        notes.append(_note(len(notes)))
        count += len(notes[-1].split())
    at = round(depth * len(notes))
    return " ".join([*notes[:at], needle, *notes[at:]])


def _note(n: int) -> str:
    """The n-th sentence; they repeat only after 6 · 6 · 5 · 7 · 5 of them, and each has its own number."""
    words, rest = [], n
    for part in PARTS:
        words.append(part[(rest + n // len(part)) % len(part)])
        rest //= len(part)
    return f"Note {n + 1}: {' '.join(words).lower()}."
