"""The real launcher as a process, in local mode on two pretended nodes, with scripted engines."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from lifecycle.runfolder import read_json, write_json
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
ENGINE = Path(__file__).parent / "engines" / "scripted.py"
LOGS = ROOT / "tests" / "golden" / "engine_logs"

QUICK = {"beat_s": 0.2, "drain_s": 6, "linger_s": 0.2, "stop_s": 1, "probe_s": 0.5, "frozen_s": 1.0, "backoff_s": 0.1}


def rung(engine: str = "vllm", name: str = "", *, argv: list[str] | None = None, timeout: float = 60,
         **script: object) -> dict:  # fmt: skip
    """One rung of launch.json; `script` is for the scripted engine."""
    return {
        "engine": engine,
        "runtime": name or engine,
        "argv": argv or [sys.executable, str(ENGINE), "serve"],
        "args": [],
        "environment": {"SCRIPT": json.dumps({"plain": engine == "transformers", **script})},
        "start_timeout_s": timeout,
        "why": "the first choice",
    }


class Launch:
    """One server's folder under `tmp`; `start` runs the launcher there."""

    def __init__(self, tmp: Path, ladder: list[dict], nodes: int = 2, job: str = "77", model: str = "",
                 **limits: object):  # fmt: skip
        self.run_folder = tmp / "runs" / "d1"
        self.folder = self.run_folder / "servers" / "1"
        self.job, self.nodes = job, nodes
        self.state = tmp / "engine"
        for one in ladder:
            script = json.loads(one["environment"].get("SCRIPT", "{}"))
            one["environment"]["SCRIPT"] = json.dumps({"folder": str(self.state / one["runtime"]), **script})
        plan = {"nodes": nodes, "tensor_parallel": nodes, "context": 512, "dtype": "bfloat16"}
        order = {"model_folder": model or str(tmp / "model"), "served_name": "acme/toy", "ladder": ladder, "plan": plan}
        write_json(self.folder / "launch.json", {**order, "address": "", "limits": {**QUICK, **limits}})
        self.process: subprocess.Popen | None = None

    def start(self, restarts: int = 0, **environment: str) -> "Launch":
        slurm = {
            "DAYZERO_LOCAL": "1",
            "SLURM_JOB_ID": self.job,
            "SLURM_JOB_NODELIST": ",".join(["localhost"] * self.nodes),
            **({"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}),
        }
        argv = [sys.executable, "-m", "batch.payloads.serve", "--run-folder", str(self.run_folder), "--server", "1"]
        with (self.folder / "out").open("ab") as out:
            self.process = subprocess.Popen(
                argv, cwd=ROOT, env={**os.environ, **slurm, **environment}, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        return self

    def read(self, name: str) -> dict:
        return read_json(self.folder / f"{name}.json") or {}

    def up(self, timeout: float = 30) -> dict:
        """endpoint.json, once it is there."""
        return until(lambda: self.read("endpoint") or self._over(), timeout, "endpoint.json")

    def _over(self) -> None:
        if self.process.poll() is not None:
            raise AssertionError(f"the launcher ended: {self.said()}\n{self.read('failure')}")

    def ended(self, timeout: float = 30) -> int:
        """Its exit status."""
        until(lambda: self.process.poll() is not None, timeout, f"the launcher's end; it said {self.said()}")
        return self.process.returncode

    def tell(self, number: int = signal.SIGTERM) -> None:
        os.kill(self.process.pid, number)

    def tell_quietly(self) -> None:
        """End it, whatever it does, and leave nothing."""
        if self.process and self.process.poll() is None:
            self.tell()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.close()

    def said(self) -> str:
        return (self.folder / "out").read_text()

    def make(self, name: str, runtime: str = "vllm") -> None:
        """Set off what the script names."""
        (self.state / runtime / name).touch()

    def starts(self, runtime: str = "vllm", rank: int = 0) -> int:
        file = self.state / runtime / f"starts-{rank}"
        return int(file.read_text()) if file.exists() else 0

    def engines(self) -> set[int]:
        """Pids of every process the engines noted down that still lives."""
        return {pid for pid in (int(file.name) for file in self.state.glob("*/pids/*")) if _alive(pid)}

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.engines():
            os.kill(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
