"""What Inspect does with the same questions on the same endpoint; run in the tools environment by bench/gauntlet.py.

    .venv-tools/bin/python bench/gauntlet_inspect.py URL AT_ONCE SAMPLES

Prints wall seconds and processor seconds of the evaluation itself, without imports.
"""

import os
import sys
import tempfile
import time


def main() -> None:
    url, at_once, samples = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.environ.update(MOCK_API_KEY="none", MOCK_BASE_URL=f"{url}/v1", INSPECT_DISPLAY="none", INSPECT_LOG_LEVEL="error")
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import match

    cases = [Sample(id=n + 1, input="What is 17 plus 25?", target="42") for n in range(samples)]
    with tempfile.TemporaryDirectory(prefix="dz-bench-") as logs:
        wall, cpu = time.perf_counter(), time.process_time()
        (log,) = eval(
            Task(dataset=cases, scorer=match(numeric=True)),
            model="openai-api/mock/m",
            max_connections=at_once, max_samples=at_once, max_tokens=512, temperature=0.0, log_dir=logs,
        )  # fmt: skip
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert log.status == "success" and log.results.scores[0].metrics["accuracy"].value == 1, log.error or log.status
    print(wall, cpu)


if __name__ == "__main__":
    main()
