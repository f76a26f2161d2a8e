"""Tries an image: the real launcher serves a tiny model in it, on this node, until one completion came back."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from batch.payloads.image_builders import BuildFailed
from lifecycle.runfolder import read_json, write_json

POLL_S = 0.2
MARGIN_S = 60
"""The launcher gives up by itself at the runtime's start_timeout_s; this much later we do."""


def try_out(launch: dict, folder: Path, job: str, alone: bool = True) -> dict:
    """endpoint.json of the server that answered. Raises BuildFailed with the launcher's own sentence.

    `alone`: on this node, without srun; else on all nodes of the job.
    """
    run_folder = folder / "smoke"
    here = run_folder / "servers" / "1"
    for name in ("endpoint.json", "failure.json"):
        (here / name).unlink(missing_ok=True)
    write_json(here / "launch.json", launch)
    here_only = {"DAYZERO_LOCAL": "1", "SLURM_JOB_NODELIST": "localhost", "SLURM_JOB_ID": job} if alone else {}
    environment = {**os.environ, **here_only}
    argv = [sys.executable, "-m", "batch.payloads.serve", "--run-folder", str(run_folder), "--server", "1"]
    with (folder / "smoke.log").open("ab") as log:
        launcher = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the launcher is ended below, and its engine
    try:
        return _answer(launcher, here, float(launch["ladder"][0]["start_timeout_s"]) + MARGIN_S)
    finally:
        launcher.terminate()
        try:
            launcher.wait(60)
        except subprocess.TimeoutExpired:
            launcher.kill()
            launcher.wait()


def _answer(launcher: subprocess.Popen, here: Path, patience_s: float) -> dict:
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if (endpoint := read_json(here / "endpoint.json")) is not None:
            return endpoint
        if launcher.poll() is not None:
            break
        time.sleep(POLL_S)
    failure = read_json(here / "failure.json") or {}
    sentence = failure.get("sentence") or "The tiny model gave no answer in time."
    raise BuildFailed(
        sentence,
        failure.get("next_step") or "smoke.log in the image's folder says more.",
        failure.get("tail", ""),
        bool(failure.get("retryable", False)),
    )
