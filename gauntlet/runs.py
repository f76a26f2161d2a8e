"""Prepare a run, and see how far it is. The service's side; the array tasks read what is written here."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gauntlet.cases import ALONE, Sample
from gauntlet.haystack import filled
from gauntlet.runfiles import ask_file, digest_of, progress_file, publish, read_run, shard_file
from gauntlet.second_look import sentences
from gauntlet.suite_files import read_suites
from lifecycle.errors import Refused
from lifecycle.ports import ExamProgress
from lifecycle.runfolder import read_json, write_json

PATIENCE_S = 600.0
TIMEOUT_S = 600.0
CONTEXT = 4096  # tokens, where nobody says how many are served


def prepare(
    folder: Path,
    *,
    suites: Path | None,
    shards: int,
    base_url: str,
    model: str,
    key_file: Path,
    judges: Sequence[str] = (),
    concurrency: int,
    subject: Mapping[str, Any],
    patience_s: float = PATIENCE_S,
    timeout_s: float = TIMEOUT_S,
    baseline: Path | None = None,
    only: str = "",
    rival: str = "",
    offers: Collection[str] = (),
    context: int = CONTEXT,
) -> int:
    """Write run.json and return the number of shards that are asked at once: a suite's reserve, where it has one, is
    a shard of its own behind them. The same content again changes nothing.

    `suites`: a folder of suites, None for those that ship. `judges`: none, one or two models. `concurrency`: requests
    at once in each shard, at most. `subject`: what is judged, for the report ({"model", "revision", ...}).
    `patience_s`: how long an outage is waited out. `baseline`: an earlier run to compare with, fixed by the first
    call. `only`: the one suite to ask. `rival`: the model that answers are compared with, fixed likewise. `offers`:
    of cases.NEEDS, what the endpoint can do beside plain chat; cases that need more are left out. `context`: tokens
    served.
    Raises BadSuite, or Refused when a judge would grade itself or the folder holds another run that has begun.
    """
    for judge in judges:
        if judge in {model, subject.get("model"), subject.get("deployment")}:
            raise Refused(f"The judge {judge} can't grade itself.", "Name another model in gauntlet.judge, or none.")
    if len(set(judges)) < len(judges):
        raise Refused(f"{judges[0]} is named as a judge twice.", "A second opinion needs a second model.")
    existing = read_json(folder / "run.json")
    if existing is not None:
        rival = existing["rival"]  # what is in `stable` may have changed since
    if rival in judges:
        rival = ""  # it would compare its own answers
    read = read_suites(suites)
    if only:
        names = [suite.name for suite in read]
        read = tuple(suite for suite in read if suite.name == only)
        if not read:
            raise Refused(f"There is no suite {only!r}.", "There are " + ", ".join(names) + ".")
    found = [Sample(suite.name, case) for suite in read for case in suite.cases]
    lacking = {s.id: sorted(s.case.needs - {*offers, *(["rival"] if rival else [])}) for s in found}
    samples = [replace(s, case=filled(s.case, context)) for s in found if not lacking[s.id]]
    content = {
        "base_url": base_url,
        "model": model,
        "key_file": str(key_file),
        "judges": list(judges),
        "rival": rival,
        "left_out": {id_: ", ".join(needs) for id_, needs in lacking.items() if needs},
        "concurrency": concurrency,
        "patience_s": patience_s,
        "timeout_s": timeout_s,
        "subject": dict(subject),
        "baseline": str(baseline.absolute()) if baseline else "",
        "suites": [suite.rules() for suite in read],
    }
    rows = [{"n": n, "id": s.id, "suite": s.suite, "case": s.case.as_dict()} for n, s in enumerate(samples)]
    parts = balance([sample for sample in samples if not sample.case.reserve], shards)
    first = len(parts)
    kept = {suite.name: [s.id for s in samples if s.case.reserve and s.suite == suite.name] for suite in read}
    kept = {suite: part for suite, part in kept.items() if part}
    parts += kept.values()
    reserve = {suite: first + n for n, suite in enumerate(kept)}
    content = json.loads(json.dumps({**content, "shards": [len(part) for part in parts], "reserve": reserve}))
    content["digest"] = digest_of({**content, "samples": rows, "parts": parts})
    if existing is None or existing["digest"] != content["digest"]:
        if existing is not None and any(folder.glob("shard-*.jsonl")):
            raise Refused(f"{folder} holds another run that has begun.", "Start a new run, in a folder of its own.")
        folder.mkdir(parents=True, exist_ok=True)
        row_of = {row["id"]: row for row in rows}
        for k, part in enumerate(parts):
            publish(ask_file(folder, k), (row_of[id_] for id_ in part))
        write_json(folder / "run.json", content)  # last: with it the run is there
    return first


def balance(samples: Sequence[Sample], shards: int) -> list[list[str]]:
    """Sample ids per shard, the expected cost spread evenly: the dearest first, each to the least loaded shard.

    Speed is measured in one shard, so that its samples never run against each other.
    """
    count = max(1, min(shards, len(samples)))
    load, parts = [0.0] * count, [[] for _ in range(count)]
    for sample in sorted(samples, key=lambda s: (-s.case.cost, s.id)):
        target = count - 1 if ALONE & set(sample.case.checks) else load.index(min(load))
        load[target] += sample.case.cost
        parts[target].append(sample.id)
    filled = [part for part in parts if part]
    place = {sample.id: index for index, sample in enumerate(samples)}
    return [sorted(part, key=place.__getitem__) for part in filled]


def shards_to_ask(folder: Path) -> tuple[int, ...]:
    """For the next array: all that are asked; once the first are finished, those of the second look alone."""
    run = read_run(folder)
    finished = all(shard_file(folder, k).exists() for k in run.first)
    return run.second if finished and run.second else run.asked


def progress(folder: Path) -> ExamProgress:
    """Samples and shards done, from the shards' own files; nothing where there is no run yet."""
    if not (folder / "run.json").exists():
        return ExamProgress(done=0, total=0, shards_done=0, shards=0)
    run = read_run(folder)
    done = shards_done = 0
    for k in run.asked:
        count = run.shards[k]
        if shard_file(folder, k).exists():
            shards_done += 1
            done += count
        elif (latest := read_json(progress_file(folder, k))) is not None:
            done += min(latest["done"], count)
    total = sum(run.shards[k] for k in run.asked)
    return ExamProgress(
        done=done, total=total, shards_done=shards_done, shards=len(run.asked), more=" ".join(sentences(run)),
        more_begun=any(progress_file(folder, k).exists() for k in run.second),
    )  # fmt: skip
