"""A submitit executor that submits a complete, hand-written batch script as it is.

Pinned to submitit 1.5.4, whose private methods it overrides (tests/batch/test_slurm_submission.py watches them). Don't
pass --parsable: submitit reads the words 'job N'. `_submit_command` also steps around the 0.2 s that `submit` sleeps
between two submissions, and `timeout` bounds sbatch, which submitit would wait for without end.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.slurm.slurm import SlurmExecutor

from batch.scheduler.commands import SERVICE_ONLY, Answer, said
from batch.scheduler.refusals import refusal
from lifecycle.errors import SchedulerSilent, SubmissionRefused

TIMED_OUT = (124, 137)
TRIED_AGAIN = "It is tried again; should the job exist all the same, its name tells."


class TemplateExecutor(SlurmExecutor):
    """`folder` keeps a copy of each script as <id>_submission.sh. RuntimeError where srun is not on the PATH."""

    def __init__(self, folder: Path, template: Path, sbatch_args: Sequence[str] = (), timeout_s: float = 30):
        super().__init__(folder=folder)
        self.template = template
        self.sbatch_args = list(sbatch_args)
        self.timeout_s = timeout_s
        self._copy: Path | None = None

    def _make_submission_file_text(self, command: str, uid: str) -> str:
        return self.template.read_text()

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        self._copy = Path(submission_file_path)
        bounded = ["timeout", "--kill-after=5", str(math.ceil(self.timeout_s))]
        # sbatch hands its environment to the job
        hidden = [word for name in SERVICE_ONLY for word in ("-u", name)]
        return ["env", *hidden, *bounded, "sbatch", *self.sbatch_args, str(submission_file_path)]

    def submit_template(self) -> str:
        """Submit the file; the job's id. SubmissionRefused or SchedulerSilent."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return self._submit_command("").job_id
        except FailedJobError as error:
            self._discard()
            if getattr(error.__cause__, "returncode", None) in TIMED_OUT:
                raise SchedulerSilent(f"sbatch gave no answer within {self.timeout_s:g} s.", TRIED_AGAIN) from None
            raise refusal(said(Answer(1, "", str(error)))) from None
        except FailedSubmissionError:
            raise SchedulerSilent("sbatch answered, but named no job.", "The job is looked for by its name.") from None
        except OSError as error:
            raise SubmissionRefused(f"{self.template} can't be submitted: {error}.", "Look at that path.") from None

    def _discard(self) -> None:
        if self._copy is not None:
            self._copy.unlink(missing_ok=True)
