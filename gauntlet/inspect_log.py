"""A run in Inspect's log format, one log for each suite, so that people can look at it in Inspect's viewer. Pure.

Source of the format: inspect_ai's EvalLog, version 2. A sample that passed has the score C, one that failed I; an open
one carries N (no answer), as Inspect has it for what could not be scored.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gauntlet.answers import FAIL, PASS
from gauntlet.cases import Case
from gauntlet.runfiles import Run
from gauntlet.verdict import SuiteVerdict

JSON = Mapping[str, Any]
SCORER = "gauntlet"
LETTER = {PASS: "C", FAIL: "I"}


def logs_of(run: Run, verdicts: Sequence[SuiteVerdict], records: Sequence[JSON]) -> dict[str, dict[str, Any]]:
    """File name → log. `records`: of all suites, people's word included."""
    cases = {sample.id: sample.case for sample in run.samples}
    logs = {}
    for verdict in verdicts:
        name = verdict.suite.name
        mine = [record for record in records if record["id"].split("/", 1)[0] == name]
        samples = [_sample(run, record, cases[record["id"]]) for record in mine]
        created = _time(min((record["at"] for record in mine if record["at"]), default=0))
        ended = _time(max((record["at"] for record in mine if record["at"]), default=0))
        eval_id = f"{run.digest[:16]}{name}"[:22]
        logs[f"{created.replace(':', '-')}_{name}_{eval_id}.json"] = {
            "version": 2,
            "status": "success",
            "eval": {
                "eval_id": eval_id, "run_id": run.digest[:22], "task_id": f"{name}-{run.digest[:12]}",
                "created": created, "task": name, "task_version": 0,
                "dataset": {"name": name, "samples": len(mine), "sample_ids": [r["id"] for r in mine]},
                "model": f"openai-api/dayzero/{run.subject.get('model') or run.model}",
                "model_base_url": run.base_url, "config": {"epochs": 1},
                "metadata": {"subject": dict(run.subject), "outcome": verdict.outcome, "reasons": verdict.reasons},
                "scorers": [{"name": SCORER}],
            },
            "plan": {"name": "plan", "steps": [], "config": {}},
            "results": {
                "total_samples": len(mine), "completed_samples": len(mine),
                "scores": [_score_of(verdict)],
            },
            "stats": {"started_at": created, "completed_at": ended, "model_usage": {}},
            "samples": samples,
        }  # fmt: skip
    return logs


def _score_of(verdict: SuiteVerdict) -> dict[str, Any]:
    low, high = verdict.rate.interval
    share = verdict.rate.passed / verdict.rate.graded if verdict.rate.graded else 0.0
    values = {"accuracy": share, "wilson_low": low, "wilson_high": high}
    return {
        "name": SCORER, "scorer": SCORER, "scored_samples": verdict.rate.graded, "unscored_samples": verdict.rate.open,
        "metrics": {name: {"name": name, "value": value} for name, value in values.items()},
    }  # fmt: skip


def _sample(run: Run, record: JSON, case: Case) -> dict[str, Any]:
    model = str(run.subject.get("model") or run.model)
    asked = [{"role": message["role"], "content": message["content"]} for message in record["messages"]]
    choices = [
        {
            "message": {"role": "assistant", "content": answer["text"], "source": "generate", "model": model},
            "stop_reason": "max_tokens" if answer["finish_reason"] == "length" else "stop",
        }
        for answer in record["answers"][:1]
    ]
    said = choices[0]["message"]["content"] if choices else ""
    usage = {
        "input_tokens": sum(answer["prompt_tokens"] for answer in record["answers"]),
        "output_tokens": sum(answer["completion_tokens"] for answer in record["answers"]),
    }
    usage["total_tokens"] = usage["input_tokens"] + usage["output_tokens"]
    more = {key: record[key] for key in ("checks", "judges", "people", "machine", "earlier") if record.get(key)}
    value = LETTER.get(record["grade"], "N")
    return {
        "id": record["id"], "epoch": 1, "input": asked, "target": case.expected or case.reference,
        "messages": [*asked, *(choice["message"] for choice in choices)],
        "output": {"model": model, "choices": choices, "usage": usage},
        "scores": {SCORER: {"value": value, "answer": said, "explanation": record["reason"], "metadata": more}},
        "metadata": {"category": record["category"], "grade": record["grade"]},
        "total_time": sum(answer["total_s"] for answer in record["answers"]),
    }  # fmt: skip


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
