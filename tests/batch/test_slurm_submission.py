"""The private methods of submitit that TemplateExecutor stands on, and what becomes of sbatch's answers."""

import inspect
from importlib.metadata import version
from pathlib import Path

import pytest
from submitit.core.utils import FailedJobError
from submitit.local.local import LocalExecutor
from submitit.slurm.slurm import SlurmExecutor

from batch.scheduler.refusals import refusal
from batch.scheduler.slurm import SlurmScheduler
from batch.scheduler.template_executor import TemplateExecutor
from lifecycle.errors import SchedulerSilent, SubmissionRefused
from lifecycle.ports import Script
from lifecycle.sections.cluster import Cluster

OVERRIDDEN = {
    "_make_submission_command": ["self", "submission_file_path"],
    "_make_submission_file_text": ["self", "command", "uid"],
}


def command(folder: Path, name: str, body: str) -> None:
    """An executable on the PATH that `folder` is put in front of."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with an sbatch of ours, which the tests write."""
    programs = tmp_path / "bin"
    programs.mkdir()
    command(programs, "srun", "exit 1")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return programs


def submit(tmp_path: Path, timeout_s: float = 10) -> str:
    script = Script("k", tmp_path / "k.sbatch")
    script.path.write_text("#!/bin/bash\n#SBATCH --job-name=k\ntrue\n")
    scheduler = SlurmScheduler(Cluster(command_timeout_s=timeout_s), tmp_path / "own", clock=lambda: 0.0)
    return scheduler.submit(script)


def test_submitit_still_has_what_we_override():
    """After an update of submitit these must be looked at again; the pin in requirements/ and this test go together."""
    assert version("submitit") == "1.5.4"
    given = {name: list(inspect.signature(getattr(SlurmExecutor, name)).parameters) for name in OVERRIDDEN}
    assert given == OVERRIDDEN
    source = inspect.getsource(SlurmExecutor._submit_command)
    assert "_make_submission_file_text" in source and "_throttle" not in source
    assert list(inspect.signature(LocalExecutor._submit_command).parameters) == ["self", "command"]
    assert issubclass(FailedJobError, Exception) and issubclass(TemplateExecutor, SlurmExecutor)


def test_the_script_is_submitted_verbatim(tmp_path: Path, bench: Path):
    """sbatch gets a file with exactly the bytes of ours, no option besides, and submitit keeps a copy by job id."""
    command(bench, "sbatch", f'[ $# = 1 ] || exit 9\ncat "$1" > {tmp_path}/got\necho Submitted batch job 4711')
    assert submit(tmp_path) == "4711"
    assert (tmp_path / "got").read_bytes() == (tmp_path / "k.sbatch").read_bytes()
    assert (tmp_path / "own" / "4711_submission.sh").exists()


def test_an_sbatch_that_hangs_is_cut_off(tmp_path: Path, bench: Path):
    """submitit would wait for it without end; we say that Slurm is silent and leave no file behind."""
    command(bench, "sbatch", "exec sleep 60")
    with pytest.raises(SchedulerSilent, match=r"no answer within 0\.5 s"):
        submit(tmp_path, timeout_s=0.5)
    assert list((tmp_path / "own").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller", SchedulerSilent),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", SchedulerSilent),
        ("sbatch: error: Batch job submission failed: Slurm temporarily unable to accept job", SchedulerSilent),
        ("sbatch: error: Batch job submission failed: Invalid qos specification", SubmissionRefused),
        ("sbatch: error: You must name a project (see the wiki)", SubmissionRefused),
    ],
)  # fmt: skip
def test_what_sbatch_says_becomes_the_right_error(tmp_path: Path, bench: Path, words: str, kind: type):
    """'Not now' is tried again, everything else is told to a person in Slurm's own words, with a next step."""
    command(bench, "sbatch", f"echo '{words}' >&2; exit 1")
    with pytest.raises(kind) as raised:
        submit(tmp_path)
    assert words.rpartition(": ")[2] in str(raised.value) and raised.value.next_step


def test_an_answer_without_a_job_is_silence(tmp_path: Path, bench: Path):
    """The job may exist: it must be looked for by name, not given up."""
    command(bench, "sbatch", "echo hello")
    with pytest.raises(SchedulerSilent):
        submit(tmp_path)


def test_without_slurm_a_submission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No srun on the PATH: submitit must not fall back to running the script here."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SubmissionRefused) as refused:
        submit(tmp_path)
    assert "cluster.kind = 'local'" in refused.value.next_step


def test_every_refusal_has_a_next_step():
    """Also one whose words we have never seen."""
    assert refusal("Something new.").next_step
