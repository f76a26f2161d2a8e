"""The whole organisation on one machine: Hub, GitHub, Slack, mail, judge, Slurm, and dayzero's own two services."""

import contextlib
import hashlib
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx

from lab.campus import config
from lab.campus.processes import Process, end_all_marked, start, with_ports
from lab.hub.remote import RemoteHub
from lab.slack.person import Person
from lab.slurm import probe, research
from lab.slurm.cluster import Cluster
from lab.slurm.layout import LONGEST_FOLDER
from lab.slurm.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
ORG = "acme"
BOT_TOKEN, APP_TOKEN, GITHUB_TOKEN = "xoxb-lab", "xapp-lab", "ghp_lab_bot"
GPU_MEMORY = 2_000_000
NODES = 4
FRAMEWORKS = ("vllm-project/vllm", "huggingface/transformers")


class Campus:
    """`up()` starts everything under `folder`, `down()` leaves nothing running. `slurm`: None means if it can be."""

    def __init__(
        self,
        folder: Path,
        *,
        slurm: bool | None = None,
        engine: Path = ROOT / ".venv-engine",
        report: Callable[[str], None] = lambda line: None,
        ladder: tuple[str, ...] = ("vllm", "transformers"),
        gpu_memory: int = GPU_MEMORY,
    ):
        self.folder = folder
        self.no_slurm = probe.available() if slurm is None else ("" if slurm else "it was not asked for")
        self.engine = engine
        self.ladder = ladder
        self.gpu_memory = gpu_memory
        self.report = report
        self.processes: dict[str, Process] = {}
        self.cluster = None if self.no_slurm else Cluster(cluster_folder(folder), nodes=NODES, report=report)

    @property
    def config(self) -> Path:
        return self.folder / "dayzero.toml"

    @property
    def environment(self) -> dict[str, str]:
        """What dayzero's processes get: secrets, and the way to Slurm."""
        secrets = {"SLACK_BOT_TOKEN": BOT_TOKEN, "SLACK_APP_TOKEN": APP_TOKEN, "GITHUB_TOKEN": GITHUB_TOKEN}
        secrets["LAB_JUDGE_KEY"] = config.JUDGE_KEY
        cluster = self.cluster.env() if self.cluster else {}
        loopback = "127.0.0.1,localhost"
        return {"DAYZERO_CONFIG": str(self.config), "NO_PROXY": loopback, "no_proxy": loopback, **secrets, **cluster}

    def up(self) -> None:
        """Everything but dayzero itself; then `start_gateway` and `start_bot`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.cluster:
            self.cluster.up()
        for name, extra in (
            ("hub", ["--root", self.folder / "hub"]),
            ("github", []),
            ("smtp", ["--folder", self.folder / "mail"]),
        ):
            self._server(name, "--print-port-file", *extra)
        self._server("slack", "--port-file", "--dir", self.folder / "slack")
        self._server("judge", "--port-file")
        self._write_settings()
        for repo in FRAMEWORKS:
            self._github("repo", repo=repo)

    def _github(self, action: str, **asked: object) -> None:
        httpx.post(f"{self.url('github')}/_lab/{action}", json=asked, trust_env=False).raise_for_status()

    def release_framework(self, repo: str, tag: str, body: str) -> None:
        """A framework publishes a release on the lab's GitHub."""
        self._github("publish", repo=repo, tag=tag, body=body)

    def _server(self, name: str, flag: str, *extra: object) -> None:
        port_file = self.folder / "ports" / name
        port_file.parent.mkdir(parents=True, exist_ok=True)
        port_file.unlink(missing_ok=True)
        argv = [sys.executable, "-m", f"lab.{name}", flag, port_file, *extra]
        process = start(name, argv, self.folder / "logs", {"LAB_JUDGE_KEY": config.JUDGE_KEY}, ROOT)
        self.processes[name] = with_ports(process, port_file)

    def _write_settings(self) -> None:
        self.addresses = config.Addresses(
            hub=self.url("hub"), github=self.url("github"), slack_api=f"{self.url('slack')}/api/",
            mail_port=self.processes["smtp"].ports[0], judge=self.url("judge"), gateway_port=free_ports(1)[0],
        )  # fmt: skip
        text = config.settings(
            self.folder, self.addresses, slurm=self.cluster is not None, engine=self.engine,
            research_user=self.research_user, gpu_memory=self.gpu_memory, ladder=list(self.ladder),
        )  # fmt: skip
        self.config.write_text(text)
        (self.folder / "providers.toml").write_text(config.providers(self.addresses))

    @property
    def research_user(self) -> str:
        return self.cluster.shape.researchers[0] if self.cluster else "bob"

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.processes[name].ports[0]}"

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.addresses.gateway_port}"

    def start_gateway(self) -> None:
        self._service("gateway", [sys.executable, "-m", "bot.cli", "gateway"])

    def start_bot(self, argv: tuple[str, ...] = ()) -> None:
        """`argv` replaces the command, for tests that want a bot which dies."""
        self._service("bot", list(argv) or [sys.executable, "-m", "bot.cli", "bot"])

    def _service(self, name: str, argv: list) -> None:
        self.processes[name] = start(name, argv, self.folder / "logs", self.environment, ROOT)

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        if (process := self.processes.pop(name, None)) is not None:
            process.stop(number)

    def down(self) -> None:
        """In the opposite order; a part that does not go is killed."""
        for name in reversed(list(self.processes)):
            self.stop(name)
        if self.cluster:
            self.cluster.down()
        end_all_marked(f"DAYZERO_CONFIG={self.config}")  # jobs of the embedded default outlive the bot, as they should

    def forget(self) -> None:
        """Remove what earlier runs left: ledger, run folders, weights, messages, repositories, Slurm's queue.

        The queue above all: what ran when the cluster went down is requeued when it comes up, and an old server would
        write into the folder of the new one.
        """
        if self.cluster:
            self.cluster.down()
            shutil.rmtree(self.cluster.folder, ignore_errors=True)
        for name in ("state", "shared", "hub", "mail", "slack", "logs"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def __enter__(self) -> "Campus":
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    # What people do ---------------------------------------------------------------------------------------------

    def publish(self, shelf: Path, name: str) -> str:
        """Publish a trained model as acme/tiny-<name>; its repository's id."""
        repo = f"{ORG}/tiny-{name}"
        with contextlib.closing(RemoteHub(self.url("hub"))) as hub:
            hub.publish(shelf / name, repo)
        return repo

    def person(self, name: str) -> Person:
        return Person(self.url("slack"), name)

    def fill_with_research(self) -> list[int]:
        """A research job on every node, so that serving must preempt somebody. Job ids."""
        if self.cluster is None:
            return []
        return [research.submit(self.cluster, name=f"pretrain-{n + 1}") for n in range(NODES)]

    def dayzero(self, *argv: str) -> Process:
        """Run the command line; wait for its end with `.child.wait()`."""
        return start("cli", [sys.executable, "-m", "bot.cli", *argv], self.folder / "logs", self.environment, ROOT)


def cluster_folder(folder: Path) -> Path:
    """`folder`/slurm, or a place of its own beside /tmp's where that path is too long for unix sockets, or closed.

    Researchers are other users: a clone in root's home is a place they can't enter.
    """
    inside = (folder / "slurm").resolve()
    closed = any(parent.exists() and not parent.stat().st_mode & stat.S_IXOTH for parent in inside.parents)
    if len(str(inside)) <= LONGEST_FOLDER and not closed:
        return inside
    return Path(tempfile.gettempdir()) / f"dayzero-{hashlib.sha256(str(inside).encode()).hexdigest()[:8]}"


def default_folder() -> Path:
    return Path(os.environ.get("DAYZERO_LAB", ROOT / ".lab"))
