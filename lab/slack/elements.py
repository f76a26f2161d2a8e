"""The interactive elements inside blocks: find them, name them, and turn what a person chose into Slack's state."""

from collections.abc import Iterator

TYPED = {"plain_text_input", "email_text_input", "url_text_input", "number_input"}
ONE_OPTION = {"static_select", "radio_buttons", "overflow"}
MANY_OPTIONS = {"multi_static_select", "checkboxes"}
PLAIN_CHOICE = {
    "users_select": ("selected_user", "initial_user"),
    "multi_users_select": ("selected_users", "initial_users"),
    "channels_select": ("selected_channel", "initial_channel"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
}
REQUIRED = "Please complete this required field."


def with_ids(blocks: list, new_id) -> list:
    """The same blocks, where each has a block_id and each element an action_id, as Slack gives them."""
    named = []
    for block in blocks:
        block = {**block, "block_id": block.get("block_id") or new_id()}
        for key in ("element", "accessory"):
            if isinstance(block.get(key), dict) and block[key].get("type") != "image":
                block[key] = {**block[key], "action_id": block[key].get("action_id") or new_id()}
        if block["type"] == "actions":
            block["elements"] = [{**one, "action_id": one.get("action_id") or new_id()} for one in block["elements"]]
        named.append(block)
    return named


def interactive(blocks: list | None, attachments: list | None = None) -> Iterator[tuple[dict, dict]]:
    """Every (block, element) a person can act on."""
    for block in blocks or []:
        inside = block.get("elements", []) if block["type"] == "actions" else []
        for element in (*inside, block.get("element"), block.get("accessory")):
            if element and element.get("action_id"):
                yield block, element
    for attachment in attachments or []:
        yield from interactive(attachment.get("blocks"))


def options_of(element: dict) -> list[dict]:
    grouped = [option for group in element.get("option_groups") or [] for option in group["options"]]
    return [*(element.get("options") or []), *grouped]


def initial(element: dict) -> object:
    """What the element shows before anybody touches it, in the form `state_of` takes."""
    kind = element["type"]
    if kind in TYPED:
        return element.get("initial_value")
    if kind in ONE_OPTION:
        return (element.get("initial_option") or {}).get("value")
    if kind in MANY_OPTIONS:
        return [option["value"] for option in element.get("initial_options") or []]
    if kind in PLAIN_CHOICE:
        return element.get(PLAIN_CHOICE[kind][1])
    return None


def state_of(element: dict, chosen: object) -> dict:
    """Slack's state entry for an element: `chosen` is text, an option's value (or text), or a list of them.

    Raises ValueError in a plain sentence when the choice is not among the options.
    """
    kind = element["type"]
    if kind in TYPED:
        return {"type": kind, "value": str(chosen) if chosen not in (None, "") else None}
    if kind in ONE_OPTION:
        return {"type": kind, "selected_option": pick(element, chosen) if chosen not in (None, "") else None}
    if kind in MANY_OPTIONS:
        chosen = [chosen] if isinstance(chosen, str) else chosen or []
        return {"type": kind, "selected_options": [pick(element, one) for one in chosen]}
    return {"type": kind, PLAIN_CHOICE[kind][0]: chosen or None}


def pick(element: dict, wanted: object) -> dict:
    for option in options_of(element):
        if wanted in (option["value"], option["text"]["text"]):
            return option
    offered = ", ".join(option["value"] for option in options_of(element))
    raise ValueError(f"{element['action_id']} has no option {wanted!r}; it offers {offered}")


def collect(blocks: list, given: dict) -> dict:
    """`state.values` for blocks: `given` maps a block_id or an action_id to a choice, or a block_id to
    {action_id: choice}; what is not given keeps its initial value.

    Raises ValueError when a name in `given` fits no element.
    """
    values: dict[str, dict] = {}
    used = set()
    for block, element in interactive(blocks):
        if element["type"] in ("button", "overflow"):
            continue
        block_id, action_id = block["block_id"], element["action_id"]
        chosen = initial(element)
        for name in (action_id, block_id):
            if name in given:
                used.add(name)
                chosen = given[name]
                if isinstance(chosen, dict):
                    chosen = chosen.get(action_id, initial(element))
        values.setdefault(block_id, {})[action_id] = state_of(element, chosen)
    unknown = set(given) - used
    if unknown:
        there = ", ".join(f"{b['block_id']}/{e['action_id']}" for b, e in interactive(blocks))
        raise ValueError(f"no input called {', '.join(sorted(unknown))}; there is {there or 'none'}")
    return values


def incomplete(blocks: list, values: dict) -> dict[str, str]:
    """What Slack's client itself refuses before it submits, as {block_id: sentence}."""
    errors = {}
    for block in blocks:
        if block["type"] != "input":
            continue
        element = block["element"]
        entry = values[block["block_id"]][element["action_id"]]
        chosen = next((value for key, value in entry.items() if key != "type"), None)
        if not chosen:
            if not block.get("optional"):
                errors[block["block_id"]] = REQUIRED
        elif element["type"] in TYPED:
            said = limits(element, chosen)
            if said:
                errors[block["block_id"]] = said
    return errors


def limits(element: dict, chosen: str) -> str:
    least, most = element.get("min_length") or 0, element.get("max_length") or 3000
    if len(chosen) < least:
        return f"Please use at least {least} characters."
    if len(chosen) > most:
        return f"Please use at most {most} characters."
    if element["type"] == "email_text_input" and "@" not in chosen:
        return "Please enter an email address."
    if element["type"] == "url_text_input" and "://" not in chosen:
        return "Please enter a web address."
    if element["type"] == "number_input":
        return number_limits(element, chosen)
    return ""


def number_limits(element: dict, chosen: str) -> str:
    try:
        number = float(chosen)
    except ValueError:
        return "Please enter a number."
    if not element["is_decimal_allowed"] and not number.is_integer():
        return "Please enter a whole number."
    if element.get("min_value") and number < float(element["min_value"]):
        return f"Please enter {element['min_value']} or more."
    if element.get("max_value") and number > float(element["max_value"]):
        return f"Please enter {element['max_value']} or less."
    return ""
