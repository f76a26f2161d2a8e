"""`python -m docs.generate`: the pages that are drawn from the code. A test compares them with what lies here."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from bot.hooks.catalogue import CATALOGUE
from bot.slack.manifest import as_yaml, manifest
from docs.planning_page import planning
from lifecycle import deployments, images, releases, servers, swaps, victims
from lifecycle.deployments import DEPLOYMENT
from lifecycle.images import IMAGE
from lifecycle.machine import BROKE_IN, Machine
from lifecycle.releases import RELEASE
from lifecycle.servers import SERVER
from lifecycle.settings import SECRETS, Settings
from lifecycle.swaps import SWAP
from lifecycle.victims import VICTIM

HERE = Path(__file__).parent
NOTICE = "Written by `python -m docs.generate`; a test compares it with the code."


# machines.md ----------------------------------------------------------------------------------------------------


def machines() -> str:
    pairs = (
        (RELEASE, releases),
        (DEPLOYMENT, deployments),
        (SERVER, servers),
        (VICTIM, victims),
        (SWAP, swaps),
        (IMAGE, images),
    )
    parts = ["# The six machines", NOTICE, "What each state asks of a person: [operate.md](operate.md)."]
    for machine, module in pairs:
        parts += [f"## {machine.name.capitalize()}", module.__doc__.strip(), diagram(machine)]
    return "\n\n".join(parts) + "\n"


def diagram(machine: Machine) -> str:
    """Mermaid; events between the same two states share an arrow."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {machine.start}"]
    for state, arrows in machine.table.items():
        targets: dict[str, list[str]] = {}
        for event, target in arrows.items():
            targets.setdefault("BACK" if target == BROKE_IN else target, []).append(event)
        lines += [f"    {state} --> {target}: {', '.join(events)}" for target, events in targets.items()]
        if not arrows:
            lines.append(f"    {state} --> [*]")
    if any(BROKE_IN in arrows.values() for arrows in machine.table.values()):
        lines.insert(2, f'    state "{BROKE_IN.strip("()")}" as BACK')
    return "\n".join([*lines, "```"])


# settings.md ----------------------------------------------------------------------------------------------------


def settings() -> str:
    parts = [
        "# Settings",
        NOTICE,
        "One TOML file: `--config`, else `$DAYZERO_CONFIG`, else `./dayzero.toml`. Paths may be relative to its folder."
        " A key that is not here is refused, with the nearest one that is. [dayzero.example.toml](dayzero.example.toml)"
        " is a file to start from; `dayzero check` proves what it says.",
        "Secrets come from the environment only:",
        "\n".join(
            ["| variable | key |", "| --- | --- |", *(f"| `{v}` | `{'.'.join(k)}` |" for v, k in SECRETS.items())]
        ),
        *_section(Settings, ""),
    ]
    return "\n\n".join(parts) + "\n"


def _section(model: type[BaseModel], path: str) -> Iterator[str]:
    keys = {name: f for name, f in model.model_fields.items() if _below(f.annotation)[0] is None}
    if keys:
        yield f"## `[{path}]`" if path else "## The top of the file"
        if model.__doc__ and path:
            yield " ".join(model.__doc__.split())
        rows = [
            f"| `{name}` | {_type(f.annotation)} | {_default(f)} | {_about(model, name, f)} |"
            for name, f in keys.items()
        ]
        yield "\n".join(["| key | type | default | what it means |", "| --- | --- | --- | --- |", *rows])
    for name, f in model.model_fields.items():
        below, many = _below(f.annotation)
        if below is not None:
            yield from _section(below, ".".join(filter(None, [path, name, "<name>" if many else ""])))


def _below(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """(the section, is it one of many by name?)"""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for inner in get_args(annotation):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner, True
    return None, False


WORDS = {
    "str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Path": "path",
    "SecretStr": "secret", "NoneType": "",
}  # fmt: skip


def _type(annotation: Any) -> str:
    inner = [a for a in get_args(annotation) if a is not type(None) and a is not Ellipsis]
    if get_origin(annotation) is None:
        return WORDS[annotation.__name__]
    if all(isinstance(a, str) for a in inner):
        return " or ".join(f"`{a}`" for a in inner)
    if get_origin(annotation) is tuple:
        return f"list of {_type(inner[0])}"
    if len(inner) == 2:
        return f"table of {_type(inner[1])}"
    return _type(inner[0])


def _default(field: Any) -> str:
    if field.description and field.annotation is not None and "SecretStr" in str(field.annotation):
        return f"`${field.description}`"
    if field.is_required():
        return "**must be given**"
    value = field.default if field.default is not PydanticUndefined else field.default_factory()
    if value is None or value in ("", (), {}):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{v}`" for v in value)
    return f"`{value}`"


def _about(model: type[BaseModel], name: str, field: Any) -> str:
    """The comment beside the key in the code, and its limits."""
    found = re.search(rf"^    {name}: .*?  # (.+)$", inspect.getsource(model), re.MULTILINE)
    said = found[1].replace("<", "&lt;") if found else ""
    return "; ".join(filter(None, [said, _rule(field)]))


SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def _rule(field: Any) -> str:
    rules = [f"{SIGNS[k]} {getattr(m, k)}" for m in field.metadata for k in SIGNS if getattr(m, k, None) is not None]
    return ", ".join(rules)


# slack-manifest.yaml --------------------------------------------------------------------------------------------


def slack_manifest() -> str:
    return f"# {NOTICE}\n{as_yaml(manifest())}"


# webhooks.md ----------------------------------------------------------------------------------------------------

WEBHOOKS = """\
Other programs can be told of what happens, so that a pipeline starts when a model is in preview:

```toml
[webhooks.to.ci]
url = "https://ci.example.com/dayzero"
events = ["deployment.passed", "deployment.broke"]

[webhooks.to.actions]
kind = "github"
url = "https://api.github.com/repos/example/deploy/dispatches"
events = ["deployment.promoted"]

[webhooks.to.pipeline]
kind = "gitlab"
url = "https://gitlab.example.com/api/v4/projects/7/trigger/pipeline"
ref = "main"
events = ["deployment.*"]
```

| kind | what is sent | the secret, from the environment |
| --- | --- | --- |
| `json` | the JSON below, signed | `DAYZERO_WEBHOOK_SECRET` |
| `github` | a `repository_dispatch` of type `dayzero.<event>`, facts as `client_payload` | `DAYZERO_DISPATCH_TOKEN` |
| `gitlab` | a pipeline trigger, each fact a variable: `DAYZERO_EVENT`, `DAYZERO_MODEL`, ... | `GITLAB_TRIGGER_TOKEN` |

## What arrives

```json
{"v": 1, "id": 812, "event": "deployment.passed", "at": 1790000000.1, "by": "dayzero", "state": "PREVIEW",
 "model": "acme/Tiny-Good", "revision": "3f2a1b0c...", "deployment": "tiny-good-3f2a1b", "release": 4,
 "sentence": "It passed the Gauntlet and is in preview."}
```

with the headers `X-Dayzero-Event`, `X-Dayzero-Delivery` (the receiver's name and the event's number),
`X-Dayzero-Timestamp` (seconds) and `X-Dayzero-Signature`: `v1=` and the HMAC-SHA256, in hex, of the timestamp, a dot
and the body. To prove who sent it, and that it is not an old one played again:

```python
import hashlib, hmac, time

def genuine(secret: bytes, timestamp: str, signature: str, body: bytes) -> bool:
    wanted = "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, signature) and abs(time.time() - int(timestamp)) < 300
```

Each event arrives at least once, in order for each receiver; `id` tells a repetition. A receiver that gives no answer,
or one of 408, 409, 425, 429 and from 500 on, is asked again after 10 s, 40 s, and so on up to an hour, `Retry-After` is
obeyed; events behind it wait. Any other refusal, and the last of `webhooks.attempts`, makes a dead letter, and the
channel is told. Redirects are not followed. A webhook that is new gets what comes, not the past.

`dayzero check webhooks` sends each receiver a signed test event called `ping`, and shows its answer; at GitLab that
starts a pipeline with `DAYZERO_EVENT=ping`.

```console
dayzero check webhooks
dayzero webhooks
dayzero webhooks retry --to ci
```"""


def webhooks() -> str:
    rows = ["| event | |", "| --- | --- |", *(f"| `{kind}` | {said} |" for kind, said in CATALOGUE.items())]
    return "\n\n".join(["# Webhooks", NOTICE, WEBHOOKS, "## The events", "\n".join(rows)]) + "\n"


PAGES = {
    "machines.md": machines,
    "planning.md": lambda: planning(NOTICE),
    "settings.md": settings,
    "slack-manifest.yaml": slack_manifest,
    "webhooks.md": webhooks,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page())
