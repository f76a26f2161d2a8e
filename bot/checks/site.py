"""This host: the settings' sense, the ledger's disk, the shared folder, the engines' programs, who is at work."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from batch.images.orders import placed, uses_image
from bot.checks.result import Found
from bot.sentences import size
from lifecycle.imagefolder import current
from lifecycle.ledger import Ledger
from lifecycle.settings import Settings

REMOTE = (
    "nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "ceph", "fuse", "9p", "afs", "glusterfs", "wekafs",
    "panfs", "pvfs2", "orangefs",
)  # fmt: skip
"""File systems on which SQLite's WAL does not hold: it wants all its readers on one host."""

ROOM = 20 * 10**9
"""Bytes: with less free space not even a small model fits."""


def settings(settings: Settings) -> Found:
    """What is allowed, but can't work."""
    missing = [
        word
        for word, there in (
            ("a GPU type: [cluster.gpus.<name>]", settings.cluster.gpus),
            ("an engine: [runtimes.<name>]", settings.runtimes),
            (
                "something to watch: [watch] organizations or models",
                settings.watch.organizations or settings.watch.models,
            ),
            ("slack.approvers: nobody may approve", settings.slack.approvers or not settings.slack.channel),
        )
        if not there
    ]
    if missing:
        return Found(False, f"The settings lack {'; '.join(missing)}.", "docs/settings.md explains every key.")
    watched = len(settings.watch.organizations) + len(settings.watch.models)
    runtimes, gpus = ", ".join(settings.runtimes), ", ".join(settings.cluster.gpus)
    return Found(True, f"{settings.site.name}: GPUs {gpus}; engines {runtimes}; {watched} watched.")


def ledger(settings: Settings) -> Found:
    """Written to for real, and taken back."""
    path = settings.ledger_path
    try:
        opened = Ledger(path, time.time)
        with opened.write() as db:
            rows = db.execute("SELECT count(*) FROM events").fetchone()[0]
        opened.close()
    except Exception as error:
        return Found(False, f"{path} can't be written: {error}.", "Mend the permissions, or set site.state.")
    if (kind := file_system(path.parent)).partition(".")[0] in REMOTE:
        sentence = f"{path} is on {kind}: SQLite loses data there when two hosts or a network failure meet."
        return Found(False, sentence, "Set site.state to a folder on a local disk of this host.")
    return Found(True, f"{path} is writable, on {kind}; {rows} events.")


def shared(settings: Settings) -> Found:
    folder = settings.site.shared
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".check-") as file:
            file.write(b"dayzero")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        advice = "Mend its permissions, or set site.shared to a folder that this user may write on every node."
        return Found(False, f"{folder} can't be written: {error.strerror}.", advice)
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        return Found(False, f"{folder} has only {size(free)} left.", f"Make room: `du -sh {folder}/models/*/*`.")
    return Found(True, f"{folder} is writable, {size(free)} free, on {file_system(folder)}.")


def runtimes(settings: Settings) -> Found:
    """The programs, as this host sees them: nodes must see the same."""
    if not settings.runtimes:
        return Found(None, "No runtime is configured.")
    wrong = []
    image = current(settings.site.shared) or ""
    for name, runtime in settings.runtimes.items():
        if not image and uses_image(settings, (name,)):
            return Found(False, f"{name} runs in an image, and there is none yet.", "dayzero image build")
        program, *rest = placed(settings.site.shared, runtime.command, image)
        if shutil.which(program) is None:
            wrong.append(f"{name}: there is no program {program}")
        wrong += [f"{name}: there is no image {word}" for word in rest if is_lost_image(word)]
    if wrong:
        advice = "Mend runtimes.<name>.command. A program that only the nodes have can't be seen from here."
        return Found(False, f"{'; '.join(wrong)}.", advice)
    return Found(True, f"{', '.join(settings.runtimes)}: every program is there.")


def is_lost_image(word: str) -> bool:
    path = Path(word)
    return path.is_absolute() and path.suffix in (".sif", ".sqsh", ".squashfs", ".img") and not path.exists()


def bot(settings: Settings) -> Found:
    """Both answers are good: whoever checks knows whether it should run."""
    if (pid := at_work(settings.site.state)) is not None:
        return Found(True, f"Process {pid} is at work on this ledger.")
    return Found(True, "Nobody is at work on this ledger; `dayzero bot` may start.")


def at_work(state: Path) -> int | None:
    """The process that holds the reconciler's lock, read from the kernel: trying the lock would be in a bot's way."""
    try:
        inode = (state / "reconciler.lock").stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if "->" not in words and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode):
            return int(words[4])
    return None


def file_system(folder: Path, mounts: str = "/proc/self/mountinfo") -> str:
    """The kernel's name of the file system that holds `folder`; "unknown" where it does not tell."""
    try:
        lines = Path(mounts).read_text().splitlines()
    except OSError:
        return "unknown"
    best, kind = "", "unknown"
    for line in lines:
        left, _, right = line.partition(" - ")
        point = left.split()[4].encode().decode("unicode_escape")
        if len(point) >= len(best) and folder.resolve().is_relative_to(point):
            best, kind = point, right.split()[0]
    return kind
