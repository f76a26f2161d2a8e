"""Command lines: curl, Simon Willison's `llm`, and Inspect in the tools environment."""

import json
import os
import subprocess
from pathlib import Path

from click.testing import CliRunner

from tests.gateway.clients.place import CITY, SCHEMA, Place

HERE = Path(__file__).parent
TOOLS = HERE.parents[2] / ".venv-tools" / "bin" / "python"


def inspect_answer(place: Place) -> None:
    """A whole evaluation: asked, answered, scored, its tokens known."""
    argv = [TOOLS, HERE / "inspect_eval.py", place.url, place.model, place.question, place.answer]
    env = os.environ | {"GATEWAY_API_KEY": place.key}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-500:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["status"], seen["said"], seen["score"]) == ("success", place.answer, 1), seen
    assert seen["usage"] > 0


def curl(place: Place, path: str, body: dict) -> tuple[int, str]:
    """(status, body), by the real curl; the key comes from a file, as it should."""
    config = place.folder / "curl.conf"
    config.write_text(f'header = "Authorization: Bearer {place.key}"\n')
    argv = ["curl", "-sS", "-K", config, "--max-time", "60", "-w", "\n%{http_code}", f"{place.url}{path}"]
    argv += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    said, _, status = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    return int(status), said


def curl_answer(place: Place) -> None:
    body = {"model": place.model, "messages": place.asked, "temperature": 0}
    status, said = curl(place, "/v1/chat/completions", body)
    assert status == 200 and json.loads(said)["choices"][0]["message"]["content"] == place.answer


def curl_stream(place: Place) -> None:
    body = {"model": place.model, "messages": place.asked, "temperature": 0, "stream": True}
    status, said = curl(place, "/v1/chat/completions", body)
    events = [line.removeprefix("data: ") for line in said.splitlines() if line.startswith("data: ")]
    text = "".join(json.loads(e)["choices"][0]["delta"].get("content") or "" for e in events[:-1])
    assert (status, text, events[-1]) == (200, place.answer, "[DONE]")


def curl_errors(place: Place) -> None:
    status, said = curl(place, "/v1/chat/completions", {"model": "no/such", "messages": place.asked})
    assert status == 404 and json.loads(said)["error"]["code"] == "model_not_found"
    status, said = curl(place, "/v1/messages", {"model": place.model, "messages": place.asked})
    assert status == 400 and json.loads(said)["type"] == "error"


class Refused(Exception):
    """What a command line printed of a 400."""


def run_llm(place: Place, *arguments: str) -> str:
    """Simon Willison's `llm` with the gateway in its extra-openai-models.yaml."""
    folder = place.folder / "llm"
    folder.mkdir(exist_ok=True)
    entry = {"model_id": "ours", "model_name": place.model, "api_base": f"{place.url}/v1", "api_key_name": "ours"}
    entry |= {"supports_schema": True, "supports_tools": True, "vision": True}
    (folder / "extra-openai-models.yaml").write_text(json.dumps([entry]))
    (folder / "keys.json").write_text(json.dumps({"ours": place.key}))
    env = {"LLM_USER_PATH": str(folder), "PATH": os.environ["PATH"]}
    from llm.cli import cli

    done = CliRunner(env=env).invoke(cli, ["-m", "ours", "-o", "temperature", "0", *arguments])
    if "Error code: 400" in done.output:
        raise Refused(done.output[-300:])
    assert done.exit_code == 0, done.output[-300:]
    return done.output


def llm_answer(place: Place) -> None:
    assert run_llm(place, "--no-stream", place.question).strip() == place.answer


def llm_stream(place: Place) -> None:
    assert run_llm(place, place.question).strip() == place.answer


def llm_schema(place: Place) -> None:
    assert json.loads(run_llm(place, "--no-stream", "--schema", json.dumps(SCHEMA), place.question)) == CITY


def llm_seed(place: Place) -> None:
    assert run_llm(place, "--no-stream", "-o", "seed", "7", place.question).strip() == place.answer
    assert place.reached is None or place.reached("seed"), "dropped on the way"
