"""Runs one job of LocalScheduler and writes down how it ended. Started as a file; needs only the standard library.

    python local_supervisor.py <job folder> <task folder>

It leaves the service's session at once, so that neither Ctrl-C nor a kill -9 of the service reaches the job. Its first
act is to claim the task by linking `started.json` into place: of two supervisors (a service that was killed right after
starting the first) only one wins. Its last is `ended.json`. In between it passes SIGTERM on, keeps the time limit, and
kills what is left after `kill_wait_s`.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import local_processes  # beside this file, whose folder Python puts on the path of what it runs as a file

POLL_S = 0.05
HOME_VARIABLES = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
"""What --export=NONE leaves: about what a login would set."""


def main(job_folder: Path, task_folder: Path) -> None:
    """Claim, run, record."""
    if os.fork():
        os._exit(0)
    os.setsid()
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not claim(task_folder):
        return
    if (task_folder / "cancelled.json").exists():
        record(task_folder, 0, "CANCELLED")
        return
    job = json.loads((job_folder / "job.json").read_text())
    index = None if task_folder.name == "only" else int(task_folder.name)
    mark = f"DAYZERO_LOCAL_TASK={task_folder}"
    try:
        child = start(job, index, job_folder, mark)
    except OSError as error:
        record(task_folder, 1, "FAILED", f"It could not be started: {error}.")
        return
    word = watch(child, job, task_folder, mark, asked)
    local_processes.send(local_processes.marked(mark), signal.SIGKILL)
    record(task_folder, child.returncode, word or ("COMPLETED" if child.returncode == 0 else "FAILED"))


def claim(task_folder: Path) -> bool:
    """True for the one supervisor that may run this task."""
    aside = task_folder / f".started.{os.getpid()}"
    write(aside, {**local_processes.identity(os.getpid()), "at": time.time()})
    try:
        os.link(aside, task_folder / "started.json")
    except FileExistsError:
        return False
    finally:
        aside.unlink()
    return True


def start(job: dict, index: int | None, job_folder: Path, mark: str) -> subprocess.Popen:
    """The script in a process group of its own, with the environment and the log files that Slurm would give it."""
    where = job["header"]["chdir"] or job["submit_folder"]
    environment = environment_of(job, index) | dict([mark.split("=", 1)])
    raw = environment["SLURM_JOB_ID"]
    append = job["header"]["append"]
    out = log_file(job, job["header"]["output"], index, raw, where)
    error = log_file(job, job["header"]["error"], index, raw, where) if job["header"]["error"] else None
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if append else os.O_TRUNC)
    streams = [os.open(path, flags, 0o644) for path in (out, error or out)[: 2 if error else 1]]
    try:
        return subprocess.Popen(
            [str(job_folder / "script")],
            cwd=where,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=streams[0],
            stderr=streams[-1],
            start_new_session=True,
        )
    finally:
        for stream in streams:
            os.close(stream)


def log_file(job: dict, pattern: str, index: int | None, raw: str, where: str) -> Path:
    """Slurm's file name pattern, filled in; relative ones lie in the job's folder."""
    pattern = pattern or ("slurm-%j.out" if index is None else "slurm-%A_%a.out")
    names = {"j": raw, "A": str(job["id"]), "a": str(index or 0), "x": job["header"]["name"], "N": "localhost"}
    names |= {"n": "0", "t": "0", "u": os.environ.get("USER", ""), "%": "%"}
    filled, rest = "", pattern
    while rest:
        before, percent, rest = rest.partition("%")
        filled += before
        if percent:
            key = rest.lstrip("0123456789")[:1]
            width = rest[: len(rest) - len(rest.lstrip("0123456789"))]
            filled += names.get(key, f"%{key}").zfill(int(width or 0))
            rest = rest[len(width) + 1 :]
    return Path(where) / filled


def environment_of(job: dict, index: int | None) -> dict[str, str]:
    """The service's environment as --export allows, without its secrets, plus Slurm's variables."""
    header = job["header"]
    first, *more = header["export"].split(",") if header["export"] else ["ALL"]
    given = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SUBMITIT_", "SBATCH_"))}
    given.pop("CUDA_VISIBLE_DEVICES", None)  # submitit's own, empty
    if job["visible_devices"] is not None:
        given["CUDA_VISIBLE_DEVICES"] = job["visible_devices"]
    for secret in job["secrets"]:
        given.pop(secret, None)
    if first not in ("ALL", "NIL", "NONE"):
        more, first = [first, *more], "NONE"
    kept = given if first == "ALL" else {k: given[k] for k in HOME_VARIABLES if k in given}
    for wish in more:
        name, equals, value = wish.partition("=")
        if equals or name in given:
            kept[name] = value if equals else given[name]
    return kept | slurm_variables(job, index)


def slurm_variables(job: dict, index: int | None) -> dict[str, str]:
    """What our scripts read. A node's name is localhost, as often as there are nodes."""
    header, tasks = job["header"], job["header"]["tasks"]
    raw = job["id"] if index is None else job["id"] + tasks.index(index)
    nodes = ",".join(["localhost"] * header["nodes"])
    variables = {
        "DAYZERO_LOCAL": "1",
        "SLURM_JOB_ID": raw,
        "SLURM_JOBID": raw,
        "SLURM_JOB_NAME": header["name"],
        "SLURM_JOB_NUM_NODES": header["nodes"],
        "SLURM_NNODES": header["nodes"],
        "SLURM_NTASKS": header["nodes"],
        "SLURM_JOB_NODELIST": nodes,
        "SLURM_NODELIST": nodes,
        "SLURM_JOB_PARTITION": header["partition"],
        "SLURM_JOB_QOS": header["qos"],
        "SLURM_JOB_ACCOUNT": header["account"],
        "SLURM_SUBMIT_DIR": job["submit_folder"],
        "SLURM_SUBMIT_HOST": "localhost",
        "SLURM_CLUSTER_NAME": "local",
        "SLURMD_NODENAME": "localhost",
        "SLURM_NODEID": 0,
        "SLURM_PROCID": 0,
        "SLURM_LOCALID": 0,
    }
    if index is not None:
        variables |= {"SLURM_ARRAY_JOB_ID": job["id"], "SLURM_ARRAY_TASK_ID": index}
        variables |= {"SLURM_ARRAY_TASK_COUNT": len(tasks), "SLURM_ARRAY_TASK_STEP": 1}
        variables |= {"SLURM_ARRAY_TASK_MIN": min(tasks), "SLURM_ARRAY_TASK_MAX": max(tasks)}
    return {name: str(value) for name, value in variables.items() if value != ""}


def watch(child: subprocess.Popen, job: dict, task_folder: Path, mark: str, asked: list[int]) -> str:
    """Wait for the end. TERM when asked to or when the time is up, KILL `kill_wait_s` later; the word for it, or ''."""
    began, limit_s = time.monotonic(), job["header"]["time_s"]
    kill_at, word = None, ""
    while child.poll() is None:
        now = time.monotonic()
        cancelled = asked or (task_folder / "cancelled.json").exists()
        late = limit_s is not None and now - began > limit_s
        if kill_at is None and (cancelled or late):
            word = "CANCELLED" if cancelled else "TIMEOUT"
            kill_at = now + job["kill_wait_s"]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        if kill_at is not None and now > kill_at:
            local_processes.send([child.pid, *local_processes.marked(mark)], signal.SIGKILL)
        time.sleep(POLL_S)
    return word


def record(task_folder: Path, code: int, word: str, note: str = "") -> None:
    """`code` is negative for a signal, as subprocess has it."""
    exit_code = f"0:{-code}" if code < 0 else f"{code}:0"
    aside = task_folder / ".ended"
    write(aside, {"word": word, "exit_code": exit_code, "at": time.time(), "note": note})
    os.replace(aside, task_folder / "ended.json")


def write(path: Path, data: dict) -> None:
    """Written and synced; the caller moves it into place."""
    with path.open("w") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
