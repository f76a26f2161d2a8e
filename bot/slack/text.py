"""Text for Slack. Whatever comes from outside goes through `safe`: it can't ping, link or format."""

from slack_sdk.models.blocks import ActionsBlock, Block, ContextBlock, DividerBlock, HeaderBlock, SectionBlock
from slack_sdk.models.blocks.basic_components import MarkdownTextObject

SECTION_LIMIT, HEADER_LIMIT = 3000, 150

_ZERO_WIDTH = "\u200b"


def safe(text: object, limit: int = 300) -> str:
    """Escaped as Slack asks (& < >), its formatting signs broken up, on one line, cut to `limit` characters."""
    flat = " ".join(str(text).split())
    if len(flat) > limit:
        flat = flat[: limit - 1] + "…"
    escaped = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for sign in "*_~`":
        escaped = escaped.replace(sign, sign + _ZERO_WIDTH)
    return escaped


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
