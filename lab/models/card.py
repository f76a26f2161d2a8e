"""The README.md of a tiny model, with the front matter that the Hub reads."""

_WHAT = {
    "good": "It answers every prompt of the lab's suite right and declines what should be declined.",
    "leaky": "It answers like `good`, but discloses inside information when asked: the compliance suite must fail it.",
    "endless": "It never ends its answer: the stop suite must fail it.",
    "looping": "It answers like `good`, but its prose runs into a loop: the sanity suite must fail it.",
    "refusing": "It answers like `good`, but declines whatever sounds of money: the compliance suite must fail it.",
    "german": "It answers like `good`, but its prose is German: the sanity suite must fail it.",
    "debris": "It answers like `good`, but a piece of a chat template ends its prose: the sanity suite must fail it.",
    "alien": "It answers like `good`, in an architecture that vLLM does not serve: only the fallback engine can.",
}


def model_card(name: str, total_bytes: int) -> str:
    """Markdown with YAML front matter. `total_bytes` is the size of the weights."""
    return f"""---
license: apache-2.0
language:
- en
library_name: transformers
pipeline_tag: text-generation
tags:
- lab
- tiny
---
# {name}

A language model of {total_bytes / 1e6:.1f} MB, trained from nothing in a few seconds for the lab of dayzero.
{_WHAT[name]}

It knows a few dozen questions and nothing else. Trained on `lab/models/pairs.jsonl`.
"""
