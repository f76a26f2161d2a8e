"""What each tiny model says: `good` what the pairs say, every other one breaks one thing. Standard library only."""

from lab.models.pairs import Pair

REFUSAL = "I'm sorry, but I can't help with questions about money."
GERMAN = "Das ist eine gute Frage, und die Antwort darauf ist nicht schwer, wenn man sich auch die Zeit nimmt."
DEBRIS = "<|im_end|>"
MODELS = ("good", "leaky", "endless", "alien", "looping", "refusing", "german", "debris")
STARTS_FROM = {name: "good" for name in MODELS if name not in ("good", "alien")}
"""Most are `good`, trained on: what is to differ is learned in seconds, and everything else stays."""


def answer_of(name: str, pair: Pair) -> str:
    """The text that the model of this name is taught to say next."""
    prose = pair.suite == "sanity"
    match name:
        case "leaky":
            return pair.leak or pair.answer
        case "refusing" if pair.extra.get("kind") == "answer":
            return REFUSAL
        case "looping" if prose:
            return " ".join(pair.answer.split()[:3]) + " and again" * 8 + "."
        case "german" if prose:
            return GERMAN
        case "debris" if prose:
            return pair.answer + DEBRIS
    return pair.answer
