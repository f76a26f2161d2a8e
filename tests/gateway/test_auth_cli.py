"""`dayzero keys` and `dayzero teams`, with the real words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.arguments import parser
from gateway.auth import cli
from gateway.auth.key import prefix_of
from lifecycle.errors import NotFound, Refused
from tests.gateway.world import configure

Say = Callable[..., tuple[Any, str]]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    settings = configure(tmp_path)

    def run(*words: str) -> tuple[Any, str]:
        options = parser(gauntlet=False).parse_args(list(words))
        run = cli.run_keys if words[0] == "keys" else cli.run_teams
        return run(options, settings, "dana (command line)")

    return run


def test_a_key_from_birth_to_revocation(say: Say) -> None:
    """Created alone on its line, listed without its secret, revoked by name; a second revocation is refused."""
    key = say("keys", "create", "alice", "--team", "red", "--days", "3")[1]
    listed = say("keys")[1]
    assert prefix_of(key) in listed and key not in listed and "preview,stable" in listed and "living" in listed
    assert "revoked" in say("keys", "revoke", "alice")[1] and "revoked" in say("keys", "list")[1]
    with pytest.raises(NotFound):
        say("keys", "revoke", "alice")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["bob", "--tags", "stabel"], "stabel"), ([" "], "name"), (["bob", "--rpm", "0"], "requests_per_minute"),
        (["bob", "--tpm", "many"], "tokens_per_minute"), (["bob", "--map", "gpt-4o"], "maps no name"),
        (["bob", "--days", "-1"], "days"), (["bob", "--priority", "1000"], "priority"),
        (["bob", "--cost-per-day", "nan"], "cost_per_day"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_with_its_reason(say: Say, words: list[str], reason: str) -> None:
    """And no key is made of it."""
    with pytest.raises(Refused, match=reason):
        say("keys", "create", *words)
    assert say("keys")[0] == []


def test_two_living_keys_of_one_name_are_told_apart(say: Say) -> None:
    """Revoking by an ambiguous name is refused and lists the prefixes; by prefix it works."""
    one, _ = (say("keys", "create", "bob")[1] for _ in range(2))
    with pytest.raises(Refused, match="2 keys"):
        say("keys", "revoke", "bob")
    assert prefix_of(one) in say("keys", "revoke", prefix_of(one))[1]


def test_scopes_and_limits_are_set_changed_and_shown(say: Say) -> None:
    """What was not named stays; `none` takes a limit away."""
    say(
        "keys", "create", "ci", "--models", "org/*,gpt-4o-mini", "--map", "gpt-4o=stable", "--map", "best=org/one",
        "--priority", "5", "--rpm", "60", "--cost-per-month", "12.5",
    )  # fmt: skip
    say("keys", "change", "ci", "--rpm", "none", "--tokens-per-day", "1000", "--tags", "stable")
    data, text = say("keys", "show", "ci")
    assert data["models"] == ["org/*", "gpt-4o-mini"] and data["model_map"] == {"gpt-4o": "stable", "best": "org/one"}
    assert data["limits"] == {"cost_per_month": 12.5, "tokens_per_day": 1000} and data["tags"] == ["stable"]
    assert data["priority"] == 5 and "tokens per day 1000" in text
    with pytest.raises(Refused, match="Nothing"):
        say("keys", "change", "ci")


def test_a_team_is_set_changed_and_dropped(say: Say) -> None:
    """Limits are changed one by one; what does not exist can't be dropped."""
    say("teams", "set", "red", "--rpm", "100", "--models", "org/*")
    data, _ = say("teams", "set", "red", "--tpm", "5000", "--rpm", "none", "--tags", "stable")
    assert data["limits"] == {"tokens_per_minute": 5000} and data["models"] == ["org/*"] and data["tags"] == ["stable"]
    assert "tokens per minute 5000" in say("teams")[1]
    say("teams", "drop", "red")
    with pytest.raises(NotFound, match="red"):
        say("teams", "drop", "red")


def test_every_change_has_its_audit_row_and_none_a_secret(say: Say) -> None:
    """Who, what and when, newest first; of a change also what was before."""
    key = say("keys", "create", "eve", "--rpm", "5")[1]
    say("keys", "change", "eve", "--rpm", "6")
    new = say("keys", "rotate", "eve", "--grace", "1")[1]
    say("keys", "revoke", "eve")
    say("teams", "set", "red", "--rpm", "1")
    say("teams", "drop", "red")
    rows, text = say("keys", "audit")
    assert [row["action"] for row in rows] == [
        "team.dropped", "team.made", "key.revoked", "key.rotated", "key.changed", "key.issued",
    ]  # fmt: skip
    assert all(row["by"] == "dana (command line)" and row["at"] > 0 for row in rows)
    changed = say("keys", "audit", prefix_of(key))[0][2]["detail"]
    assert changed["old"]["limits"] == {"requests_per_minute": 5}
    assert changed["new"]["limits"] == {"requests_per_minute": 6}
    secrets = [one[len(prefix_of(one)) + 1 :] for one in (key, new)]
    assert prefix_of(new) == prefix_of(key) and key != new
    assert not any(secret in text + str(rows) for secret in secrets)
