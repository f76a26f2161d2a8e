"""People judge what the Gauntlet left open: who is asked what next, when an answer is settled, how far two agree.

Ratings lie in the run folder beside the grades. A rating becomes a grade, and so counts for the verdict, when as many
people as wanted have rated that answer: until then the first word would decide alone. Each step is derived from the
files as they are, so a kill between any two of them costs nothing.
"""

import hashlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from gauntlet import conclude
from gauntlet.answers import FAIL, PASS, UNSCORED
from gauntlet.grades import add_grades, grades_file, read_grades
from gauntlet.paired import kappa
from gauntlet.runfiles import publish

RATINGS = "ratings.jsonl"
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Question:
    """What a grader sees of a sample: nothing of who answered or what others said. Texts as they came."""

    id: str
    category: str
    asked: str
    reference: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Rating:
    """One person's word about one sample. `first`: before they knew that somebody differs."""

    id: str
    user: str  # who, for ever
    by: str  # the name that people know
    grade: str  # pass or fail
    comment: str
    first: str
    at: float


@dataclass(frozen=True)
class Standing:
    """How far the grading of one run is. `wanted`: people per answer."""

    questions: tuple[Question, ...]
    ratings: tuple[Rating, ...]
    wanted: int

    def of(self, sample: str) -> list[Rating]:
        return [rating for rating in self.ratings if rating.id == sample]

    @property
    def settled(self) -> list[str]:
        """Samples that enough people agree on."""
        return [q.id for q in self.questions if self._enough(q.id) and not self._differ(q.id)]

    @property
    def differing(self) -> list[str]:
        return [q.id for q in self.questions if self._enough(q.id) and self._differ(q.id)]

    def _enough(self, sample: str) -> bool:
        return len(self.of(sample)) >= self.wanted

    def _differ(self, sample: str) -> bool:
        return len({rating.grade for rating in self.of(sample)}) > 1

    def next_for(self, user: str) -> Question | None:
        """What others began comes first, so that pairs become whole; then what is new, for each in another order; at
        last what this person and another see differently. None: nothing is left for them.
        """
        fresh = [q for q in self.questions if not self._enough(q.id) and user not in {r.user for r in self.of(q.id)}]
        if fresh:
            return min(fresh, key=lambda q: (-len(self.of(q.id)), _shuffled(user, q.id)))
        mine = [q for q in self.questions if q.id in self.differing and self._undecided(user, q.id)]
        return min(mine, key=lambda q: _shuffled(user, q.id)) if mine else None

    def _undecided(self, user: str, sample: str) -> bool:
        """They rated it and somebody differs, and they have not looked at it again since the other spoke."""
        mine = [r for r in self.of(sample) if r.user == user]
        return bool(mine) and mine[0].at < max(r.at for r in self.of(sample) if r.user != user)

    def counts(self) -> dict[str, int]:
        """Name → how many they have rated."""
        names = [rating.by for rating in self.ratings]
        return {name: names.count(name) for name in sorted(set(names))}

    def agreements(self) -> list[str]:
        """One sentence for each pair of graders who rated the same answers; by their first words."""
        people = {r.user: r.by for r in self.ratings}
        return [said for pair in combinations(sorted(people), 2) if (said := self._agreement(pair, people))]

    def _agreement(self, pair: tuple[str, str], people: Mapping[str, str]) -> str:
        one, other = ({r.id: r.first for r in self.ratings if r.user == user} for user in pair)
        said = [(one[sample], other[sample]) for sample in one if sample in other]
        if not said:
            return ""
        cells = [said.count(cell) for cell in ((PASS, PASS), (PASS, FAIL), (FAIL, PASS), (FAIL, FAIL))]
        chance = kappa(*cells)
        names = " and ".join(sorted(people[user] for user in pair))
        sentence = f"{names} agree on {cells[0] + cells[3]} of {len(said)}"
        return f"{sentence} (Cohen's kappa {chance:.2f})" if chance is not None else sentence


def _shuffled(user: str, sample: str) -> str:
    return hashlib.sha256(f"{user} {sample}".encode()).hexdigest()


def standing(folder: Path, wanted: int) -> Standing:
    """Of a concluded run: everything that the machine left open and that has an answer. Raises NoRun."""
    run, records = conclude.judged_records(folder)
    references = {sample.id: sample.case.reference for sample in run.samples}
    found = []
    for record in records:
        if record["answers"] and (record.get("machine") or record)["grade"] == UNSCORED:
            asked = "\n".join(f"[{message['role']}] {message['content']}" for message in record["messages"])
            plain = [a["text"] for a in record["answers"] if not a.get("asked")]  # else: asked again by some check
            answers = tuple(dict.fromkeys(plain or [a["text"] for a in record["answers"]]))
            reference = str(references.get(record["id"]) or "")
            found.append(Question(record["id"], record["category"], asked, reference, answers))
    known = {question.id for question in found}
    ratings = [rating for rating in read_ratings(folder) if rating.id in known]
    return Standing(tuple(found), tuple(ratings), wanted)


def read_ratings(folder: Path) -> list[Rating]:
    try:
        lines = (folder / RATINGS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [Rating(**json.loads(line)) for line in lines if line.strip()]


def rate(folder: Path, sample: str, user: str, by: str, grade: str, comment: str) -> None:
    """Keep a person's word; a newer one takes the place of the older. On disk when it returns."""
    with _one_at_a_time:
        kept = {(rating.id, rating.user): rating for rating in read_ratings(folder)}
        before = kept.get((sample, user))
        first = before.first if before else grade
        kept[(sample, user)] = Rating(sample, user, by, grade, comment.strip(), first, time.time())
        publish(folder / RATINGS, [asdict(rating) for rating in kept.values()])


def settle(folder: Path, now: Standing) -> bool:
    """Make grades of what enough people have rated, and the verdict of the grades. False: nothing was new."""
    with _one_at_a_time:
        counting = [r for r in now.ratings if len(now.of(r.id)) >= now.wanted]
        known = {(g["id"], g["by"]): (g["grade"], g["comment"]) for g in read_grades(folder)}
        new = [_as_grade(r) for r in counting if known.get((r.id, r.by)) != (r.grade, r.comment)]
        if new:
            add_grades(folder, new)
        if not new and not _unconcluded(folder):
            return False
        conclude.conclude_soon(folder)
    return True


def _as_grade(rating: Rating) -> dict[str, Any]:
    return {"id": rating.id, "grade": rating.grade, "by": rating.by, "comment": rating.comment, "at": rating.at}


def _unconcluded(folder: Path) -> bool:
    """Killed after the grades were written and before the verdict was."""
    try:
        return grades_file(folder).stat().st_mtime_ns > (folder / "verdict.json").stat().st_mtime_ns
    except FileNotFoundError:
        return False


def marks(folder: Path) -> Sequence[int]:
    """Changes when anything does that `standing` reads of people."""
    files = [folder / RATINGS, grades_file(folder), folder / "verdict.json"]
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
