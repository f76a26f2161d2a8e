"""The whole product, as its users have it: dayzero's two services, the lab's servers, real Slurm, real engines."""

import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.campus.campus import ROOT, Campus
from lab.campus.story import Ledger
from lab.slurm import probe

SHELF = ROOT / ".lab" / "models"
ENGINE = ROOT / ".venv-engine"


@pytest.fixture
def campus_of() -> Iterator[Callable[..., Campus]]:
    """Make campuses that are taken down at the end, in a short folder: unix sockets have short names."""
    if not (ENGINE / "bin" / "vllm").exists() or not (SHELF / "good").is_dir():
        pytest.skip("the engine environment or the tiny models are missing: python3 -m lab.setup")
    made: list[Campus] = []

    def make(*, slurm: bool, **more: object) -> Campus:
        if slurm and (reason := probe.available()):
            pytest.skip(reason)
        folder = Path(tempfile.mkdtemp(prefix="dz-"))
        folder.chmod(0o755)  # researchers are other users
        made.append(Campus(folder, slurm=slurm, **more))
        made[-1].up()
        return made[-1]

    yield make
    for campus in made:
        campus.down()
        shutil.rmtree(campus.folder, ignore_errors=True)


def ledger_of(campus: Campus) -> Ledger:
    return Ledger(campus.folder / "state" / "ledger.db")


def submitted(campus: Campus) -> list[str]:
    """The name of every job of ours that Slurm's accounting has ever seen, once per submission: an array is one."""
    rows = campus.cluster.ask("sacct", "-n", "-X", "-P", "-o", "JobName,JobID").splitlines()
    pairs = {(name, number.partition("_")[0]) for name, number in (row.rsplit("|", 1) for row in rows)}
    return sorted(name for name, _ in pairs if name.startswith("dz-"))


def key(campus: Campus, name: str, tags: str = "preview,stable") -> str:
    """A key of the gateway, made on the command line as an operator does."""
    made = campus.dayzero("keys", "create", name, "--tags", tags)
    assert made.child.wait(60) == 0, made.tail
    return made.log.read_text().split()[-1]


def ask(campus: Campus, key: str, path: str, body: dict | None = None) -> tuple[int, dict]:
    """(status, JSON) of one request to the gateway."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{campus.gateway_url}{path}", data, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
