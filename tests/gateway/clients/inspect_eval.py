"""One evaluation by Inspect against the gateway; run by .venv-tools' Python: URL MODEL QUESTION ANSWER, the key in
GATEWAY_API_KEY. Prints what came back and what Inspect thinks of it."""

import json
import os
import sys
import tempfile


def main() -> None:
    url, model, question, answer = sys.argv[1:]
    os.environ.update(GATEWAY_BASE_URL=f"{url}/v1", INSPECT_DISPLAY="none", INSPECT_LOG_LEVEL="error")
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import includes

    task = Task(dataset=[Sample(input=question, target=answer)], scorer=includes())
    with tempfile.TemporaryDirectory() as logs:
        (log,) = eval(
            task, model=f"openai-api/gateway/{model}", log_dir=logs, max_tokens=60, temperature=0.0, max_retries=0
        )
        # the log is read again for its samples
        said = log.samples[0].output if log.samples else None
        seen = {"status": log.status, "error": str(log.error or "")[:300], "said": said.completion if said else ""}
        seen["usage"] = said.usage.output_tokens if said and said.usage else 0
        seen["score"] = log.results.scores[0].metrics["accuracy"].value if log.results else 0
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
