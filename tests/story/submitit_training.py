"""A researcher's submitit job: `SUBMITIT_PREEMPT_SIGNAL=TERM python -m tests.story.submitit_training FOLDER STEPS`.

Prints the job's id. What submitit pickles when it is told to stop is `Training` with the steps it has done.
"""

import sys
import time
from pathlib import Path

import submitit

ROOT = Path(__file__).resolve().parents[2]


class Training:
    """`steps` of half a second; its log says where each run began and where it was stopped."""

    def __init__(self, folder: Path, steps: int):
        self.log, self.steps, self.step = folder / "training.log", steps, 0

    def __call__(self) -> int:
        self.say(f"resumed at step {self.step} of {self.steps}" if self.step else "started")
        while self.step < self.steps:
            time.sleep(0.5)
            self.step += 1
        self.say(f"finished at step {self.step}")
        return self.step

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        self.say(f"saved step {self.step}")
        return submitit.helpers.DelayedSubmission(self)

    def say(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(text + "\n")


def main(folder: Path, steps: int) -> None:
    executor = submitit.AutoExecutor(folder, cluster="slurm")
    executor.update_parameters(
        timeout_min=60,
        slurm_account="research",
        slurm_qos="research",
        slurm_partition="research",
        slurm_gres="gpu:1",
        slurm_setup=[f"export PYTHONPATH={ROOT}"],
    )
    print(executor.submit(Training(folder, steps)).job_id)


if __name__ == "__main__":
    from tests.story.submitit_training import main  # pickled by reference: not as __main__'s

    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]))
