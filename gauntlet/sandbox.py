"""Run code that a model wrote: in bubblewrap, without network, files, or much time and memory. Linux only.

It sees the interpreter and the system's libraries, read-only, and an empty /tmp in memory; every namespace is its own,
so it finds no other process, no host name and no way out, and it can start no process of its own. Where bubblewrap
can't run, nothing is run.
"""

import json
import os
import platform
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

TIME_S = 10
MEMORY = 512 * 2**20
SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/alternatives", "/etc/ld.so.cache")
WORDS = 300  # of what it says in the end

# limits are set inside, by code that still is ours; what follows on stdin is not
GUARD = """
import json, os, resource, sys
memory, seconds, done = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_FSIZE, (2**24, 2**24))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sources = json.load(sys.stdin)
sys.argv[:] = ["answer.py"]
names = {"__name__": "__main__"}
for number, source in enumerate(sources):
    exec(compile(source, f"part-{number}.py", "exec"), names)
os._exit(done)
"""


CLONE, CLONE3, FORK, VFORK = "clone", "clone3", "fork", "vfork"
CALLS = {  # machine → its number for the kernel's filters, and those of its system calls
    "x86_64": (0xC000003E, {CLONE: 56, FORK: 57, VFORK: 58, CLONE3: 435}),
    "aarch64": (0xC00000B7, {CLONE: 220, CLONE3: 435}),
}


@dataclass(frozen=True)
class Ran:
    """`fault`: why it did not run to its end, '' when it did. `here`: False when nothing could be run at all."""

    fault: str
    here: bool = True


def run_python(*sources: str, seconds: int = TIME_S, memory: int = MEMORY) -> Ran:
    """Run one source after the other, with the same names, or say in one sentence what stopped them.

    Never raises for what the code does. Code that ends the process before the last source is through has not run.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return Ran("there is no bubblewrap (bwrap) here to run code in", here=False)
    if platform.machine() not in CALLS:
        return Ran(f"code can't be walled in on {platform.machine()}", here=False)
    python = os.path.realpath(sys.executable)
    through = random.SystemRandom().randrange(3, 100)  # the status of a good end; code can't end so by itself
    inside = [python, "-I", "-S", "-B", "-c", GUARD, str(memory), str(seconds), str(through)]
    with tempfile.TemporaryFile() as rules, tempfile.TemporaryFile() as status, tempfile.TemporaryFile() as said:
        rules.write(no_new_process(platform.machine()))
        rules.seek(0)
        walls = [*_walls(python), "--seccomp", str(rules.fileno()), "--json-status-fd", str(status.fileno())]
        try:
            done = subprocess.run(
                [bwrap, *walls, "--", *inside], input=json.dumps(sources).encode(), stdout=subprocess.DEVNULL,
                stderr=said, timeout=seconds * 2, check=False, pass_fds=(rules.fileno(), status.fileno()),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Ran(f"it did not end within {seconds} s")
        if done.returncode == through:
            return Ran("")
        return _ended(done.returncode, _read(said), b'"exit-code"' in _read(status), seconds)


def _ended(code: int, said: bytes, began: bool, seconds: int) -> Ran:
    words = said[-20_000:].decode("utf-8", "replace").strip()
    if not began:  # by bubblewrap's own word: what the code prints proves nothing
        return Ran(f"bubblewrap can't run here ({words[:WORDS]})", here=False)
    if code in (137, 152):  # KILL, or XCPU
        return Ran(f"it was stopped: more than {seconds} s of work, or too much memory")
    return Ran(words.splitlines()[-1][-WORDS:] if words else f"it ended with status {code}")


def _read(file: BinaryIO) -> bytes:
    """What a child wrote: bounded, for RLIMIT_FSIZE counts there."""
    file.seek(0)
    return file.read()


def no_new_process(machine: str) -> bytes:
    """A seccomp filter: threads yes, processes no. A limit of processes would not do: root has none."""
    arch, calls = CALLS[machine]
    load, equal, above, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, unknown = 0x7FFF0000, 0x00050001, 0x00050026  # EPERM; ENOSYS, at which the C library tries clone
    thread, foreign = 0x10000, 0x40000000  # CLONE_THREAD; the numbers of the x32 calls begin here
    code = [(load, 0, 0, 4), (equal, 1, 0, arch), (answer, 0, 0, refuse), (load, 0, 0, 0)]
    code += [(above, 0, 1, foreign), (answer, 0, 0, refuse)]
    for name in (FORK, VFORK):
        if name in calls:
            code += [(equal, 0, 1, calls[name]), (answer, 0, 0, refuse)]
    code += [(equal, 0, 1, calls[CLONE3]), (answer, 0, 0, unknown)]
    code += [(equal, 0, 3, calls[CLONE]), (load, 0, 0, 16), (any_bit, 1, 0, thread), (answer, 0, 0, refuse)]
    code += [(answer, 0, 0, allow)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _walls(python: str) -> list[str]:
    walls = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    walls += ["--hostname", "sandbox", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "PYTHONHASHSEED", "0"]
    for path in dict.fromkeys([*SYSTEM, sys.base_prefix, str(Path(python).parent)]):
        if Path(path).is_symlink():
            walls += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).exists():
            walls += ["--ro-bind", path, path]
    return [*walls, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp"]
