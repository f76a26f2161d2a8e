"""The Web API's table of methods: name → function and the token it wants."""

from collections.abc import Callable

from lab.slack.refusals import Refusal
from lab.slack.team import Team

Method = Callable[[Team, dict], dict]
METHODS: dict[str, tuple[Method, str]] = {}


def method(name: str, token: str = "bot") -> Callable[[Method], Method]:
    """Register a function (team, arguments) → answer without `ok`."""

    def register(function: Method) -> Method:
        METHODS[name] = (function, token)
        return function

    return register


def call(team: Team, name: str, token: str, args: dict) -> dict:
    """One Web API call; Refusal for a bad token, an unknown method and all the method itself refuses."""
    kinds = {team.seed.bot_token: "bot", team.seed.app_token: "app"}
    if not token:
        raise Refusal("not_authed")
    if token not in kinds:
        raise Refusal("invalid_auth")
    if name not in METHODS:
        raise Refusal("unknown_method", req_method=name)
    function, wanted = METHODS[name]
    if wanted not in ("any", kinds[token]):
        raise Refusal("not_allowed_token_type")
    return {"ok": True, **function(team, args)}
