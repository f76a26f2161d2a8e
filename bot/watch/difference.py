"""What changed between two looks at an organisation, as a pure function.

New is decided by comparing sets of repositories and their commits, never by creation dates: labs create a repository
in private weeks before it turns public, and then it appears with an old date.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """`new` and `moved`: repository → commit. `suspicious`: everything vanished at once, which is not believed."""

    new: Mapping[str, str]
    moved: Mapping[str, str]
    gone: frozenset[str]
    suspicious: bool = False


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> Difference:
    """Both map repository → commit."""
    if before and not after:
        return Difference({}, {}, frozenset(), suspicious=len(before) > 1)
    new = {repo: sha for repo, sha in after.items() if repo not in before}
    moved = {repo: sha for repo, sha in after.items() if repo in before and before[repo] != sha}
    return Difference(new, moved, frozenset(before) - frozenset(after))


def first_look(after: Mapping[str, str], created: Mapping[str, float], since: float) -> Collection[str]:
    """An organisation's past is not news: of a first look only what was created after `since` is announced."""
    return [repo for repo in after if created.get(repo, 0) > since]
