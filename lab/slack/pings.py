"""Who is notified by a message: the raw mentions in what Slack would read as mrkdwn."""

import re
from collections.abc import Iterator

MENTION = re.compile(r"<(?:!(channel|here|everyone)|@([UW][A-Z0-9]+)|!subteam\^(S[A-Z0-9]+))(?:\|[^<>]*)?>")


def pings(text: str, blocks: list | None = None, attachments: list | None = None) -> list[str]:
    """`channel`, `here`, `everyone`, user ids and group ids that this message notifies, each once, sorted.

    An escaped `&lt;!channel&gt;` notifies nobody, and neither does anything in a plain_text object.
    """
    found = set()
    for piece in [text or "", *mrkdwn([blocks or [], attachments or []])]:
        found.update(next(filter(None, match.groups())) for match in MENTION.finditer(piece))
    found.update(rich_mentions(blocks or []))
    return sorted(found)


def mrkdwn(part: object) -> Iterator[str]:
    """Every string inside blocks or attachments in which a mention would be live."""
    if isinstance(part, list):
        for one in part:
            yield from mrkdwn(one)
    elif isinstance(part, dict):
        if part.get("type") in ("mrkdwn", "markdown"):
            yield str(part.get("text") or "")
        elif "type" not in part:
            yield from (part[key] for key in ("text", "pretext", "fallback", "value") if isinstance(part.get(key), str))
        for value in part.values():
            if isinstance(value, (dict, list)):
                yield from mrkdwn(value)


def rich_mentions(part: object) -> Iterator[str]:
    """Mentions written as rich_text elements, which are ids and not text."""
    if isinstance(part, list):
        for one in part:
            yield from rich_mentions(one)
    elif isinstance(part, dict):
        if part.get("type") == "user" and part.get("user_id"):
            yield part["user_id"]
        elif part.get("type") == "usergroup" and part.get("usergroup_id"):
            yield part["usergroup_id"]
        elif part.get("type") == "broadcast" and part.get("range"):
            yield part["range"]
        yield from rich_mentions(part.get("elements") or [])
