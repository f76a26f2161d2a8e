"""Text for Slack. Whatever comes from outside goes through `safe`: it can't ping, link or format."""

import re

from slack_sdk.models.blocks import ActionsBlock, Block, ContextBlock, DividerBlock, HeaderBlock, SectionBlock
from slack_sdk.models.blocks.basic_components import MarkdownTextObject

SECTION_LIMIT, HEADER_LIMIT = 3000, 150

_ZERO_WIDTH = "\u200b"
_SIGN = re.compile(r"`|(?<!\w)[*_~]|[*_~](?!\w)")
"""What Slack would take for formatting: inside a word, as in my_model, it does not, and a name can be copied."""


def safe(text: object, limit: int = 300, *, flat: bool = True) -> str:
    """Escaped as Slack asks (& < >), its formatting signs broken up, on one line, cut to `limit` characters."""
    line = " ".join(str(text).split()) if flat else str(text)
    if len(line) > limit:
        line = line[: limit - 1] + "…"
    escaped = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SIGN.sub(rf"\g<0>{_ZERO_WIDTH}", escaped)


def told(text: object, limit: int = 2500) -> str:
    """A sentence of our own, perhaps with words from outside in it: what stands in backticks stays code that can be
    copied; all the rest as `safe` has it.
    """
    parts = " ".join(str(text).split())[:limit].split("`")
    if len(parts) % 2 == 0:  # a lone backtick is a word from outside, or was cut
        parts[-2:] = ["`".join(parts[-2:])]
    return "".join(
        code(part, limit) if n % 2 and part else safe(part, limit, flat=False) for n, part in enumerate(parts)
    )


def code(text: object, limit: int = 300) -> str:
    """As inline code; backticks inside would end it."""
    flat = " ".join(str(text).split()).replace("`", "'")[:limit]
    return "`" + flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") + "`"


def block_code(text: str, limit: int = 1200) -> str:
    """The end of a log, as preformatted text."""
    tail = text.replace("```", "'''")[-limit:]
    return "```" + tail.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") + "```"


def header(text: str) -> Block:
    """Plain text needs no escaping, only a length."""
    flat = " ".join(text.split())
    return HeaderBlock(text=flat if len(flat) <= HEADER_LIMIT else flat[: HEADER_LIMIT - 1] + "…")


def section(text: str) -> Block:
    return SectionBlock(text=MarkdownTextObject(text=_cut(text)))


def fields(pairs: list[tuple[str, str]]) -> Block:
    """Up to ten named values, already safe."""
    return SectionBlock(fields=[MarkdownTextObject(text=f"*{name}*\n{value}"[:2000]) for name, value in pairs[:10]])


def context(text: str) -> Block:
    return ContextBlock(elements=[MarkdownTextObject(text=_cut(text))])


def divider() -> Block:
    return DividerBlock()


def actions(elements: list, block_id: str) -> Block:
    return ActionsBlock(elements=elements, block_id=block_id)


def _cut(text: str) -> str:
    return text if len(text) <= SECTION_LIMIT else text[: SECTION_LIMIT - 1] + "…"
