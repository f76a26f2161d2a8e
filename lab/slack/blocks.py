"""Block Kit's limits, as one table of shapes; what Slack would refuse, the lab refuses in the same words.

A check takes (value, JSON pointer, errors) and appends to the errors. `shape` is a check for an object with known
keys, `typed` picks the shape by the object's `type`.
"""

from collections.abc import Callable

Check = Callable[[object, str, list[str]], None]


def check_message_blocks(blocks: object) -> list[str]:
    """What is wrong with the blocks of a message; empty when Slack would take them."""
    return run(items(typed(MESSAGE_BLOCKS), 0, 50), blocks, "/blocks") or repeated_ids(blocks, "/blocks")


def check_view(view: object) -> list[str]:
    """What is wrong with a modal or a home tab; empty when Slack would take it."""
    errors = run(typed(VIEWS), view, "/view")
    if errors:
        return errors
    if view["type"] == "modal" and not view.get("submit") and any(b["type"] == "input" for b in view["blocks"]):
        errors.append(wrong("submit is required when there are input blocks", "/view"))
    return errors or repeated_ids(view["blocks"], "/view/blocks")


def run(check: Check, value: object, at: str) -> list[str]:
    errors: list[str] = []
    check(value, at, errors)
    return errors


def wrong(what: str, at: str) -> str:
    return f"[ERROR] {what} [json-pointer:{at}]"


def repeated_ids(blocks: list, at: str) -> list[str]:
    seen: set[str] = set()
    errors = []
    for number, block in enumerate(blocks):
        name = block.get("block_id")
        if name and name in seen:
            errors.append(wrong(f"block_id {name!r} already exists", f"{at}/{number}/block_id"))
        seen.add(name)
    return errors


def string(most: int, least: int = 1) -> Check:
    def check(value, at, errors):
        if not isinstance(value, str):
            errors.append(wrong("must be a string", at))
        elif len(value) < least:
            errors.append(wrong(f"must be more than {least - 1} characters", at))
        elif len(value) > most:
            errors.append(wrong(f"must be less than {most + 1} characters", at))

    return check


def one_of(*allowed: object) -> Check:
    def check(value, at, errors):
        if value not in allowed:
            errors.append(wrong(f"must be one of {', '.join(map(str, allowed))}", at))

    return check


def of_type(*types: type) -> Check:
    def check(value, at, errors):
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            errors.append(wrong(f"must be a {types[0].__name__}", at))

    return check


def items(check_one: Check, least: int, most: int) -> Check:
    def check(value, at, errors):
        if not isinstance(value, list):
            errors.append(wrong("must be an array", at))
        elif len(value) < least:
            errors.append(wrong(f"no fewer than {least} items allowed", at))
        elif len(value) > most:
            errors.append(wrong(f"no more than {most} items allowed", at))
        else:
            for number, one in enumerate(value):
                check_one(one, f"{at}/{number}", errors)

    return check


def shape(needs: dict[str, Check], may: dict[str, Check] | None = None) -> Check:
    known = {**needs, **(may or {})}

    def check(value, at, errors):
        if not isinstance(value, dict):
            errors.append(wrong("must be an object", at))
            return
        errors.extend(wrong(f"missing required field: {name}", at) for name in needs if value.get(name) is None)
        for name, part in value.items():
            if name not in known and name != "type":
                errors.append(wrong(f"invalid additional property: {name}", at))
            elif part is not None and name in known:
                known[name](part, f"{at}/{name}", errors)

    return check


def typed(table: dict[str, Check]) -> Check:
    def check(value, at, errors):
        kind = value.get("type") if isinstance(value, dict) else None
        if kind not in table:
            errors.append(wrong(f"unsupported type: {kind}", f"{at}/type"))
        else:
            table[kind](value, at, errors)

    return check


def either(names: tuple[str, ...], check_shape: Check) -> Check:
    def check(value, at, errors):
        if not any(value.get(name) for name in names):
            errors.append(wrong(f"must define one of {', '.join(names)}", at))
        check_shape(value, at, errors)

    return check


flag = of_type(bool)
anything: Check = lambda value, at, errors: None  # noqa: E731 - a check like the others, which never objects


def text(most: int, *kinds: str, least: int = 1) -> Check:
    shapes = {
        "plain_text": shape({"text": string(most, least)}, {"emoji": flag}),
        "mrkdwn": shape({"text": string(most, least)}, {"verbatim": flag}),
    }
    return typed({kind: shapes[kind] for kind in kinds or shapes})


def plain(most: int) -> Check:
    return text(most, "plain_text")


CONFIRM = shape(
    {"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)},
    {"style": one_of("primary", "danger")},
)
ACTION = {"action_id": string(255), "confirm": CONFIRM, "focus_on_load": flag}
INPUT = {**ACTION, "placeholder": plain(150)}
OPTION = shape({"text": text(75), "value": string(150)}, {"description": text(75), "url": string(3000)})
OPTION_GROUP = shape({"label": plain(75), "options": items(OPTION, 1, 100)})
CHOICES = {"options": items(OPTION, 1, 100), "option_groups": items(OPTION_GROUP, 1, 100)}
MULTI = {"max_selected_items": of_type(int)}
TYPED = {"initial_value": string(3000, 0), "dispatch_action_config": anything}

IMAGE = shape({"image_url": string(3000), "alt_text": string(2000)})
BUTTON = shape(
    {"text": plain(75)},
    {
        "action_id": string(255),
        "value": string(2000),
        "url": string(3000),
        "style": one_of("primary", "danger"),
        "confirm": CONFIRM,
        "accessibility_label": string(75),
    },
)
SELECTS = {
    "static_select": either(("options", "option_groups"), shape({}, {**INPUT, **CHOICES, "initial_option": OPTION})),
    "multi_static_select": either(
        ("options", "option_groups"),
        shape({}, {**INPUT, **CHOICES, **MULTI, "initial_options": items(OPTION, 1, 100)}),
    ),
    "users_select": shape({}, {**INPUT, "initial_user": string(255)}),
    "multi_users_select": shape({}, {**INPUT, **MULTI, "initial_users": items(string(255), 0, 100)}),
    "channels_select": shape({}, {**INPUT, "initial_channel": string(255), "response_url_enabled": flag}),
    "conversations_select": shape(
        {},
        {
            **INPUT,
            "initial_conversation": string(255),
            "default_to_current_conversation": flag,
            "response_url_enabled": flag,
            "filter": anything,
        },
    ),
    "datepicker": shape({}, {**INPUT, "initial_date": string(10)}),
    "timepicker": shape({}, {**INPUT, "initial_time": string(5), "timezone": string(64)}),
    "radio_buttons": shape({"options": items(OPTION, 1, 10)}, {**ACTION, "initial_option": OPTION}),
    "checkboxes": shape({"options": items(OPTION, 1, 10)}, {**ACTION, "initial_options": items(OPTION, 1, 10)}),
}
ACTIONS = {**SELECTS, "button": BUTTON, "overflow": shape({"options": items(OPTION, 1, 5)}, ACTION)}
INPUTS = {
    **SELECTS,
    "plain_text_input": shape(
        {}, {**INPUT, **TYPED, "multiline": flag, "min_length": of_type(int), "max_length": of_type(int)}
    ),
    "email_text_input": shape({}, {**INPUT, **TYPED}),
    "url_text_input": shape({}, {**INPUT, **TYPED}),
    "number_input": shape(
        {"is_decimal_allowed": flag}, {**INPUT, **TYPED, "min_value": string(255), "max_value": string(255)}
    ),
}

ID = {"block_id": string(255)}
BLOCKS = {
    "section": either(
        ("text", "fields"),
        shape(
            {},
            {
                **ID,
                "text": text(3000),
                "fields": items(text(2000), 1, 10),
                "accessory": typed({**ACTIONS, "image": IMAGE}),
                "expand": flag,
            },
        ),
    ),
    "header": shape({"text": plain(150)}, ID),
    "divider": shape({}, ID),
    "image": shape({"image_url": string(3000), "alt_text": string(2000)}, {**ID, "title": plain(2000)}),
    "context": shape(
        {"elements": items(typed({"image": IMAGE, "mrkdwn": text(3000), "plain_text": text(3000)}), 1, 10)}, ID
    ),
    "actions": shape({"elements": items(typed(ACTIONS), 1, 25)}, ID),
    "input": shape(
        {"label": plain(2000), "element": typed(INPUTS)},
        {**ID, "hint": plain(2000), "optional": flag, "dispatch_action": flag},
    ),
    "rich_text": shape({"elements": items(anything, 0, 100)}, ID),
}
MESSAGE_BLOCKS = {**BLOCKS, "markdown": shape({"text": string(12000)}, ID)}
VIEW = {
    "private_metadata": string(3000, 0),
    "callback_id": string(255, 0),
    "external_id": string(255, 0),
    "clear_on_close": flag,
    "notify_on_close": flag,
}
VIEWS = {
    "modal": shape(
        {"title": plain(24), "blocks": items(typed(BLOCKS), 0, 100)},
        {**VIEW, "submit": plain(24), "close": plain(24), "submit_disabled": flag},
    ),
    "home": shape({"blocks": items(typed(BLOCKS), 0, 100)}, VIEW),
}
