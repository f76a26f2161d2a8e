"""What people say about samples: out as CSV or JSON lines, graded wherever they like, and back. Their word wins."""

import csv
import io
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gauntlet.answers import FAIL, PASS, UNSCORED
from gauntlet.runfiles import Run, publish
from lifecycle.errors import Permanent

JSON = Mapping[str, Any]
COLUMNS = ("id", "category", "question", "answer", "reference", "reason", "grade", "by", "comment")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run such a cell, and a model wrote it


class BadGrades(Permanent):
    """A file of grades can't be taken over; the sentence names the line. Nothing of it was."""


def grades_file(folder: Path) -> Path:
    return folder / "grades.jsonl"


def read_grades(folder: Path) -> list[dict[str, Any]]:
    """What people said so far; none when nobody did."""
    try:
        lines = grades_file(folder).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.strip()]


def to_grade(run: Run, records: Sequence[JSON], *, judged: bool = False) -> list[dict[str, str]]:
    """Rows for people: every sample that is open and has an answer; with `judged` also what the judge has graded."""
    references = {sample.id: sample.case.reference for sample in run.samples}
    rows = []
    for record in records:
        graded_by_judge = judged and record["judges"]
        if record["answers"] and (record["grade"] == UNSCORED or graded_by_judge):
            question = "\n".join(f"[{message['role']}] {message['content']}" for message in record["messages"])
            answer = "\n---\n".join(answer["text"] for answer in record["answers"])
            rest = {"reference": references.get(record["id"], ""), "reason": record["reason"]}
            row = {"id": record["id"], "category": record["category"], "question": question, "answer": answer, **rest}
            rows.append(row | {"grade": "", "by": "", "comment": ""})
    return rows


def as_csv(rows: Iterable[JSON]) -> str:
    """For a spreadsheet; what could be taken for a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: f"'{value}" if value.startswith(FORMULA) else value for key, value in row.items()})
    return out.getvalue()


def as_jsonl(rows: Iterable[JSON]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def parse_grades(text: str, where: str, known: Iterable[str], by: str) -> list[dict[str, Any]]:
    """Rows that carry a grade, from CSV or JSON lines (told apart by the first character). BadGrades."""
    known, found = set(known), []
    for number, row in _rows(text, where):
        grade = str(row.get("grade") or "").strip().lower()
        if not grade:
            continue
        if row.get("id") not in known:
            raise BadGrades(f"{where}:{number}: this run has no sample {row.get('id')!r}.", "Nothing was taken.")
        if grade not in (PASS, FAIL):
            raise BadGrades(f"{where}:{number}: grade is {grade!r}.", "It is pass, fail, or empty for no opinion.")
        rater, comment = str(row.get("by") or by).strip(), str(row.get("comment") or "").strip()
        found.append({"id": row["id"], "grade": grade, "by": rater, "comment": comment, "at": time.time()})
    return found


def _rows(text: str, where: str) -> Iterable[tuple[int, JSON]]:
    text = text.removeprefix("\ufeff")  # spreadsheets put it there
    if text.lstrip().startswith("{"):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                if not isinstance(row, dict):
                    raise BadGrades(f"{where}:{number}: this line is not a JSON object.")
                yield number, row
        return
    first = text.partition("\n")[0]
    comma = ";" if first.count(";") > first.count(",") else ","  # some spreadsheets write the one, some the other
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=comma)
    missing = [name for name in ("id", "grade") if name not in (reader.fieldnames or ())]
    if missing:
        raise BadGrades(f"{where}:1: the column {missing[0]} is missing.", "Keep the header that export-open wrote.")
    for row in reader:
        yield reader.line_num, row


def add_grades(folder: Path, new: Sequence[JSON]) -> None:
    """A person's newer word about a sample takes the place of the older one; atomically replaced."""
    kept = {(grade["id"], grade["by"]): grade for grade in [*read_grades(folder), *new]}
    publish(grades_file(folder), kept.values())


def with_people(records: Sequence[dict[str, Any]], grades: Sequence[JSON]) -> list[dict[str, Any]]:
    """Records with people's word in place of the machine's, which stays beside it as `machine`."""
    said: dict[str, list[JSON]] = {}
    for grade in grades:
        said.setdefault(grade["id"], []).append(grade)
    return [_decided(record, said[record["id"]]) if record["id"] in said else record for record in records]


def _decided(record: dict[str, Any], said: Sequence[JSON]) -> dict[str, Any]:
    words = [f"{one['by']}: {one['grade']}" + (f" ({one['comment']})" if one["comment"] else "") for one in said]
    grades = {one["grade"] for one in said}
    grade = grades.pop() if len(grades) == 1 else UNSCORED
    reason = ("Graded by people. " if grade != UNSCORED else "People differ. ") + "; ".join(words) + "."
    machine = {"grade": record["grade"], "reason": record["reason"]}
    return record | {"grade": grade, "reason": reason, "machine": machine, "people": list(said)}
