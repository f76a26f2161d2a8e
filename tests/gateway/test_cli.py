"""What `dayzero keys` prints."""

from pathlib import Path

import pytest

from gateway import cli
from lifecycle.errors import NotFound, Refused
from tests.gateway.world import configure


def test_a_key_from_birth_to_revocation(tmp_path: Path) -> None:
    """Issued, listed without its secret, revoked by name; a second revocation, a wrong tag and no name are refused."""
    settings = configure(tmp_path)
    key = cli.issue_key(settings, "alice", ["preview", "stable"], team="red", days=3)
    listed = cli.list_keys(settings)
    assert key[:11] in listed and key not in listed and "preview,stable" in listed and "living" in listed
    assert "revoked" in cli.revoke_key(settings, "alice") and "revoked" in cli.list_keys(settings)
    with pytest.raises(NotFound):
        cli.revoke_key(settings, "alice")
    with pytest.raises(Refused, match="stabel"):
        cli.issue_key(settings, "bob", ["stabel"])
    with pytest.raises(Refused, match="name"):
        cli.issue_key(settings, " ", ["stable"])


def test_two_living_keys_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Revoking by an ambiguous name is refused and lists the prefixes; by prefix it works."""
    settings = configure(tmp_path)
    one, _ = (cli.issue_key(settings, "bob", ["stable"]) for _ in range(2))
    with pytest.raises(Refused, match="2 keys"):
        cli.revoke_key(settings, "bob")
    assert one[:11] in cli.revoke_key(settings, one[:11])
