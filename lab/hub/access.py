"""Who asks, and what they may see."""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.hub.refusals import Refusal
from lab.hub.store import Repo


@dataclass(frozen=True)
class User:
    """`reads` holds repository ids, organisations or "*": private and gated repositories open to this user."""

    name: str
    reads: frozenset[str] = frozenset()


TOKENS: dict[str, User] = {
    "hf_lab_alice": User("alice", frozenset({"*"})),
    "hf_lab_bob": User("bob"),
}
"""What the lab knows unless told otherwise: alice sees everything, bob only what is public or granted."""


def user_of(authorization: str | None, tokens: Mapping[str, User]) -> User | None:
    """The user of an Authorization header, None without one; a token nobody knows is refused, as on the Hub."""
    if not authorization:
        return None
    user = tokens.get(authorization.removeprefix("Bearer ").strip())
    if user is None:
        raise Refusal(401, "", "Invalid credentials in Authorization header")
    return user


def admitted(repo: Repo, user: User | None) -> bool:
    """Whether this user passes the repository's gate."""
    if user is None:
        return False
    return bool({"*", repo.id, repo.id.split("/")[0]} & user.reads) or user.name in repo.meta.readers


def seen(repo: Repo, user: User | None) -> bool:
    """Whether this user may know that the repository exists."""
    return not repo.meta.private or admitted(repo, user)


def check_content(repo: Repo, user: User | None) -> None:
    """Refuse the files of a gated repository to those outside."""
    if not repo.meta.gated or admitted(repo, user):
        return
    if user is None:
        raise Refusal(
            401, "GatedRepo",
            f"Access to model {repo.id} is restricted. You must have access to it and be authenticated to access it.",
        )  # fmt: skip
    raise Refusal(403, "GatedRepo", f"Access to model {repo.id} is restricted and you are not in the authorized list.")
