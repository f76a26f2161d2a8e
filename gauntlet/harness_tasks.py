"""Reads a task of another harness and prints its samples as JSON lines. A program of its own:

    python gauntlet/harness_tasks.py inspect FILE.py[@TASK]
    python gauntlet/harness_tasks.py lm-eval FILE.yaml

It runs in the interpreter in which that harness is installed, and so imports nothing of ours. A line is
{"id", "messages", "target", "options" (the right one first) or null, "scorer", "numeric"}.
"""

import json
import runpy
import sys
from pathlib import Path


def main():
    kind, spec = sys.argv[1:3]
    for row in {"inspect": of_inspect, "lm-eval": of_lm_eval}[kind](spec):
        print(json.dumps(row))


def of_inspect(spec):
    """A Python file with functions marked @task; the only one, or the one that is named."""
    from inspect_ai._util.registry import is_registry_object, registry_info, registry_params

    path, _, name = spec.partition("@")
    found = runpy.run_path(path)
    tasks = {key: value for key, value in found.items() if is_registry_object(value, "task")}
    if name not in tasks:
        if name or len(tasks) != 1:
            sys.exit(f"{path} holds the tasks {', '.join(tasks) or 'none'}: name one as {path}@TASK")
        (name,) = tasks
    task = tasks[name]()
    scorer = task.scorer[0] if task.scorer else None
    word = registry_info(scorer).name.rpartition("/")[2] if scorer else ""
    numeric = bool(scorer and registry_params(scorer).get("numeric"))
    for number, sample in enumerate(task.dataset):
        said = sample.input
        if isinstance(said, str):
            messages = [{"role": "user", "content": said}]
        else:
            messages = [{"role": message.role, "content": message.text} for message in said]
        target = sample.target if isinstance(sample.target, str) else (sample.target or [""])[0]
        options = None
        if sample.choices:
            right = "ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(target)
            options = [sample.choices[right], *(c for i, c in enumerate(sample.choices) if i != right)]
        yield {"id": str(sample.id or number + 1), "messages": messages, "target": target, "options": options,
               "scorer": word, "numeric": numeric}  # fmt: skip


def of_lm_eval(spec):
    """A task's YAML file; its test documents, else those for validation."""
    from lm_eval.tasks import TaskManager, get_task_dict

    path = Path(spec).resolve()
    manager = TaskManager(include_path=str(path.parent), include_defaults=False)
    lines = path.read_text().splitlines()
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("task:")), "")
    (task,) = get_task_dict([name], manager).values()
    documents = task.test_docs() if task.has_test_docs() else task.validation_docs()
    for number, document in enumerate(documents):
        target = task.doc_to_target(document)
        options = None
        if task.OUTPUT_TYPE == "multiple_choice":
            choices = task.doc_to_choice(document)
            right = target if isinstance(target, int) else choices.index(target)
            target = choices[right]
            options = [choices[right], *(c for i, c in enumerate(choices) if i != right)]
        prompt = f"{task.config.description or ''}{task.doc_to_text(document)}"
        scorer = "exact" if task.OUTPUT_TYPE == "generate_until" else "choice"
        yield {"id": str(number + 1), "messages": [{"role": "user", "content": prompt.strip()}], "target": str(target),
               "options": options, "scorer": scorer, "numeric": False}  # fmt: skip


if __name__ == "__main__":
    main()
