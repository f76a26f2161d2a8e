"""views.*: modals and the home tab."""

from lab.slack import views
from lab.slack.arguments import need
from lab.slack.methods import method
from lab.slack.team import Team


@method("views.open")
def open_view(team: Team, args: dict) -> dict:
    need(args, "trigger_id")
    return {"view": views.open_view(team, args)}


@method("views.push")
def push_view(team: Team, args: dict) -> dict:
    need(args, "trigger_id")
    return {"view": views.push_view(team, args)}


@method("views.update")
def update_view(team: Team, args: dict) -> dict:
    return {"view": views.update_view(team, args)}


@method("views.publish")
def publish_view(team: Team, args: dict) -> dict:
    need(args, "user_id")
    return {"view": views.publish_view(team, args)}
