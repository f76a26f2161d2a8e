"""Which conversation a request belongs to: its next turn is cheapest where the last one's prefix is still cached.

A caller may name the conversation (`x-session-id`); else its beginning does: everything up to the first message of the
user, which all its turns have in common. The number is the same in every worker and after every restart.
"""

from dataclasses import dataclass
from hashlib import blake2b

from gateway.call import Call
from gateway.wire import dumps

BEGINNING = 4
"""Messages that are looked at: a system prompt, perhaps a developer's, the user's first."""

LONGEST = 4096  # characters of one message
MASK = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Affinity:
    """`key`: 64 bits, 0: none. `pinned`: the caller asked for it. `grown`: there were turns before this one."""

    key: int = 0
    pinned: bool = False
    grown: bool = False


NONE = Affinity()


def of(call: Call) -> Affinity:
    if call.session:
        return Affinity(number(call.session), pinned=True)
    messages = call.body.get("messages")  # completions have none: nothing of theirs tells turns apart
    if not isinstance(messages, list) or not messages:
        return NONE
    beginning = []
    for message in messages[:BEGINNING]:
        beginning.append(_sketch(message))
        if isinstance(message, dict) and message.get("role") == "user":
            break
    return Affinity(number(dumps({"": beginning})), grown=len(messages) > len(beginning))


def _sketch(message: object) -> object:
    """Enough of a message to know it again; hashing a book would cost more than it saves."""
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    if isinstance(content, list):
        content = [part["text"][:LONGEST] for part in content[:8] if isinstance(part, dict) and _is_text(part)]
    elif isinstance(content, str):
        content = content[:LONGEST]
    else:
        content = None
    role = message.get("role")
    return [role if isinstance(role, str) else None, content]


def _is_text(part: dict) -> bool:
    return isinstance(part.get("text"), str)


def number(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little") or 1


def score(key: int, id: int) -> int:
    """How much this endpoint is a conversation's home; whose score is highest is it (rendezvous hashing)."""
    mixed = (key ^ (id * 0x9E3779B97F4A7C15)) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    return mixed ^ (mixed >> 31)
