"""A small HTTP program that behaves like an engine, or like one that fails, as its environment tells it.

SCRIPT is a JSON object; each key is one behaviour, all may be left out:

    print        a file whose text it writes to stderr when it starts
    exit         end with this status at once (after `print`)
    only         "exit" and "print" apply for the first `only` starts; later ones go on (counted in `folder`)
    rank         everything above applies to this rank only, and what is set off later too (there: 0 unless given)
    load_s       seconds of pretended loading, with vLLM's progress lines
    hang         never become ready
    crash        end at the first completion, though /health said 200
    refuse       answer completions with HTTP 500
    die          end when a file of this name appears in `folder`; it is then removed
    freeze       the same, and then answer nothing but /health and /metrics, for ever
    mute         the same, and then answer nothing at all
    deaf         ignore SIGTERM
    orphan       start a child in a session of its own, which nobody would clean up
    folder       where it writes starts, pids (one file each) and finds the files named above
    plain        serve as Transformers does: no /metrics

A completion whose prompt (of a chat: its last message) is "slow N" takes N seconds; it runs meanwhile and generates a
token every tenth. Who asks for a stream gets one.
"""

import argparse
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

SCRIPT = json.loads(os.environ.get("SCRIPT", "{}"))
FOLDER = Path(SCRIPT.get("folder", "."))

running, generated, lock = 0, 0, threading.Lock()
freezing = muted = False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb")
    parser.add_argument("model")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--served-model-name")
    parser.add_argument("--node-rank", type=int, default=0)
    parser.add_argument("--headless", action="store_true")
    options, _ = parser.parse_known_args()
    if SCRIPT.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    starts = note_start(options.node_rank)
    if SCRIPT.get("orphan"):
        child = subprocess.Popen(["sleep", "300"], start_new_session=True)
        (FOLDER / "pids" / str(child.pid)).write_text("orphan")
    mine = SCRIPT.get("rank", options.node_rank) == options.node_rank
    if mine and starts <= SCRIPT.get("only", 10**9):
        if "print" in SCRIPT:
            print(Path(SCRIPT["print"]).read_text(), file=sys.stderr, flush=True)
        if "exit" in SCRIPT:
            sys.exit(SCRIPT["exit"])
    if options.node_rank == SCRIPT.get("rank", 0):
        threading.Thread(target=mischief, daemon=True).start()
    if options.headless or SCRIPT.get("hang"):
        while True:
            time.sleep(60)
    load(SCRIPT.get("load_s", 0))
    Server(options).serve_forever()


def note_start(rank: int) -> int:
    (FOLDER / "pids").mkdir(parents=True, exist_ok=True)
    (FOLDER / "pids" / str(os.getpid())).write_text(f"rank {rank}")
    counter = FOLDER / f"starts-{rank}"
    count = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(count))
    return count


def load(seconds: float) -> None:
    print("INFO [default_loader.py] Starting to load model", file=sys.stderr, flush=True)
    for done in range(5):
        line = f"\rLoading safetensors checkpoint shards: {done * 25:3d}% Completed | {done}/4 [00:00<00:00, 9it/s]"
        print(line, end="", file=sys.stderr, flush=True)
        time.sleep(seconds / 5)
    print("\nINFO [default_loader.py] Loading weights took 1.00 seconds", file=sys.stderr, flush=True)


def mischief() -> None:
    global freezing, muted
    while True:
        for act in ("die", "freeze", "mute"):
            trigger = FOLDER / str(SCRIPT.get(act) or f"no-{act}")
            if trigger.exists():
                trigger.unlink()
                if act == "die":
                    print("RuntimeError: CUDA error: an illegal memory access was encountered", file=sys.stderr)
                    os._exit(1)
                freezing, muted = True, act == "mute"
        time.sleep(0.02)


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, options: argparse.Namespace):
        self.model = options.model if SCRIPT.get("plain") else options.served_model_name
        super().__init__((options.host, options.port), Requests)
        print("INFO:     Application startup complete.", file=sys.stderr, flush=True)


class Requests(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if muted:
            time.sleep(300)
        if self.path == "/metrics" and not SCRIPT.get("plain"):
            label = '{engine="0",model_name="toy"}'
            self.answer(200, f"vllm:num_requests_running{label} {running}.0\n"
                             f"vllm:num_requests_waiting{label} 0.0\n"
                             f"vllm:generation_tokens_total{label} {generated}.0\n")  # fmt: skip
        elif self.path == "/version" and not SCRIPT.get("plain"):
            self.answer(200, json.dumps({"version": "9.9.9"}))
        else:
            self.answer(200 if self.path == "/health" else 404, "")

    def do_POST(self) -> None:
        global running, generated
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if SCRIPT.get("crash"):
            print("AssertionError: assert self.intermediate_tensors is not None", file=sys.stderr, flush=True)
            os._exit(1)
        if SCRIPT.get("refuse"):
            self.answer(500, json.dumps({"error": {"message": "EngineDeadError"}}))
            return
        if body["model"] != self.server.model:
            self.answer(404, json.dumps({"error": {"message": f"The model {body['model']} does not exist."}}))
            return
        with lock:
            running += 1
        words = str(body.get("prompt") or body.get("messages", [{}])[-1].get("content", "")).split()
        until = time.monotonic() + (float(words[1]) if words[:1] == ["slow"] else 0)
        while freezing or time.monotonic() < until:
            time.sleep(0.1)
            if not freezing:
                generated += 1
        with lock:
            running -= 1
            generated += 1
        said = {"index": 0, "text": "ok", "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        message = {"role": "assistant", "content": "ok"}
        if body.get("stream"):
            chunks = ({"choices": [said | {"delta": message}]}, {"choices": [], "usage": usage})
            lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
            self.answer(200, "".join([*lines, "data: [DONE]\n\n"]), "text/event-stream")
        else:
            self.answer(200, json.dumps({"choices": [said | {"message": message}], "usage": usage}))

    def answer(self, status: int, text: str, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    main()
