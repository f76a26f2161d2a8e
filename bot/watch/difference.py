"""What changed between two looks at an organisation, as pure functions.

New is decided by comparing sets of repositories and their commits, never by creation dates: labs create a repository
in private weeks before it turns public, and then it appears with an old date.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Difference:
    """`new` and `moved`: repository → commit. `renamed`: old name → new name; with a new commit it is in `moved`, too.

    `suspicious`: everything vanished at once, which is not believed.
    """

    new: Mapping[str, str]
    moved: Mapping[str, str]
    gone: frozenset[str]
    suspicious: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> Difference:
    """Both map repository → commit."""
    if before and not after:
        return Difference({}, {}, frozenset(before), suspicious=len(before) > 1)
    new = {repo: sha for repo, sha in after.items() if repo not in before}
    moved = {repo: sha for repo, sha in after.items() if repo in before and before[repo] != sha}
    return Difference(new, moved, frozenset(before) - frozenset(after))


def by_commit(found: Difference, before: Mapping[str, str]) -> dict[str, str]:
    """Old name → new name, where one repository has left and one has come with the very same commit."""
    left, came = Counter(before[repo] for repo in found.gone), Counter(found.new.values())
    name = {sha: repo for repo, sha in found.new.items()}
    return {
        repo: name[before[repo]] for repo in found.gone if left[before[repo]] == 1 and came.get(before[repo], 0) == 1
    }


def told_apart(found: Difference, before: Mapping[str, str], renamed: Mapping[str, str]) -> Difference:
    """The same difference, with what has only another name neither new nor gone."""
    names = {old: new for old, new in renamed.items() if old in found.gone and new in found.new}
    pushed = {new: found.new[new] for old, new in names.items() if found.new[new] != before[old]}
    return replace(
        found,
        new={repo: sha for repo, sha in found.new.items() if repo not in names.values()},
        moved={**found.moved, **pushed},
        gone=found.gone - frozenset(names),
        renamed=names,
    )


def news(found: Difference, departed: Mapping[str, str]) -> set[str]:
    """What is worth a release. `departed`: repository → commit of what had left before: unchanged it is no news."""
    return {repo for repo, sha in found.new.items() if departed.get(repo) != sha}


def first_look(after: Mapping[str, str], created: Mapping[str, float], since: float) -> Collection[str]:
    """An organisation's past is not news: of a first look only what was created after `since` is announced."""
    return [repo for repo in after if created.get(repo, 0) > since]


def published(created: float | None, last_look: float | None, now: float) -> float:
    """The earliest moment at which it can have become public: when it was created, or when it was not yet seen."""
    return min(now, max((moment for moment in (created, last_look) if moment is not None), default=now))
