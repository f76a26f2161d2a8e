"""The table of state words."""

import gzip
import re
from pathlib import Path

import pytest

from batch.scheduler.slurm_states import STATES, state_of
from lifecycle.jobs import JobState

WORDS = """
BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING PREEMPTED RUNNING SUSPENDED TIMEOUT
COMPLETING CONFIGURING EXPEDITING LAUNCH_FAILED POWER_UP_NODE RECONFIG_FAIL REQUEUED REQUEUE_FED REQUEUE_HOLD RESIZING
RESV_DEL_HOLD REVOKED SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED UPDATE_DB
""".split()
"""Base states and flags, from "JOB STATES" of squeue(1) and the states enum of slurm.h; last compared 2026-11."""


def test_every_word_of_slurm_is_in_the_table():
    """No word that Slurm documents falls through to UNKNOWN by accident."""
    assert set(WORDS) == set(STATES)


def test_the_installed_man_page_has_no_word_we_lack():
    """Whatever Slurm is installed here: its own manual lists only words that we know."""
    page = Path("/usr/share/man/man1/squeue.1.gz")
    if not page.exists():
        pytest.skip("squeue's man page is not installed")
    text = gzip.decompress(page.read_bytes()).decode()
    codes = text.split('"JOB STATE CODES"', 1)[1].split("\n.SH", 1)[0]
    words = re.findall(r"^\\fB[A-Z]{1,3}\s+([A-Z_]+)\\fR", codes, re.MULTILINE)
    assert len(words) > 20 and set(words) <= set(STATES)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("CANCELLED by 0", JobState.CANCELLED),
        ("CANCELLED+", JobState.CANCELLED),
        ("REQUEUED", JobState.QUEUED),
        ("PREEMPTED", JobState.FAILED),
        ("COMPLETING", JobState.RUNNING),
        ("OUT_OF_MEMORY", JobState.FAILED),
        ("STOPPED", JobState.SUSPENDED),
        ("REVOKED", JobState.UNKNOWN),
        ("LEVITATING", JobState.UNKNOWN),
        ("", JobState.UNKNOWN),
    ],
)
def test_words_as_the_commands_print_them(word: str, state: JobState):
    """Suffixes don't matter; what we don't know is UNKNOWN, never an end."""
    assert state_of(word) is state
