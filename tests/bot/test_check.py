"""`dayzero check` against real parts: the lab's servers, a real Slurm, real file systems; and against their absence."""

import contextlib
import fcntl
import os
import threading
import time
import tomllib
from pathlib import Path

import pytest

from bot import check
from bot.checks import cluster, site
from bot.checks.result import Found, Result
from bot.checks.slurm_words import preemption_found, records, second_pair, value
from lab.campus import config
from lab.github.server import GitHub
from lab.hub.server import Hub
from lab.slack.server import Workspace
from lab.slurm.cluster import Cluster
from lab.slurm.ports import free_ports
from lab.smtp.server import Sink
from lifecycle import settings
from lifecycle.errors import Refused
from lifecycle.settings import Settings
from tests.bot.office import SECRETS
from tests.gateway.world import Gateway
from tests.waiting import until


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    """The lab's servers for all of these tests: nothing here changes them."""
    folder = tmp_path_factory.mktemp("check")
    with contextlib.ExitStack() as stack:
        hub, github = stack.enter_context(Hub(folder / "hub")), stack.enter_context(GitHub())
        for repo in ("vllm-project/vllm", "huggingface/transformers"):
            github.add_repo(repo)
        slack, mail = stack.enter_context(Workspace(folder / "slack")), stack.enter_context(Sink(folder / "mail"))
        at = config.Addresses(
            hub=hub.url, github=github.url, slack_api=slack.api_url, mail_port=mail.port, judge="http://127.0.0.1:9",
            gateway_port=free_ports(1)[0],
        )  # fmt: skip
        yield folder, at


def made(world, secrets: dict[str, str] | None = None, **changes: dict) -> Settings:
    """The lab's settings with some keys changed: section={"key": value}."""
    folder, at = world
    text = config.settings(
        folder, at, slurm=False, engine=folder, research_user="games", gpu_memory=2_000_000, ladder=["vllm"]
    )
    data = tomllib.loads(text)
    for section, keys in changes.items():
        data[section] |= keys
    return settings.parse(data, folder / "dayzero.toml", SECRETS if secrets is None else secrets)


def one(part: str, wanted: Settings) -> Result:
    (result,) = check.run(wanted, [part])
    return result


def test_what_works_is_proven(world) -> None:
    """Hub, GitHub, Slack, mail, disk, suites: each is asked, each says what was found."""
    results = {r.part: r for r in check.run(made(world))}
    assert list(results) == list(check.CHECKS)
    good = {name for name, r in results.items() if r.ok}
    assert {"settings", "ledger", "shared", "bot", "scheduler", "hub", "github", "slack", "mail", "gauntlet"} <= good
    assert "acme" not in results["hub"].sentence and "public models only" in results["hub"].sentence
    assert "#models" in results["slack"].sentence
    assert all(r.sentence for r in results.values())
    assert all(r.next_step for r in results.values() if r.ok is False)


NOBODY = {"corp": {"issuer": "http://127.0.0.1:9", "audience": "dayzero"}}
WRONG = [
    ("hub", {"hub": {"endpoint": "http://127.0.0.1:9"}}, {}, "gives no answer", "HTTPS_PROXY"),
    ("hub", {}, {"HF_TOKEN": "hf_wrong"}, "does not accept HF_TOKEN", "read is enough"),
    ("github", {"github": {"repositories": ["acme/none"]}}, {}, "no repository acme/none", "github.repositories"),
    ("github", {"github": {"endpoint": "http://127.0.0.1:9"}}, {}, "gives no answer", "proxy"),
    ("slack", {}, {"SLACK_APP_TOKEN": "xapp-lab"}, "SLACK_BOT_TOKEN is not", "environment"),
    ("slack", {}, {**SECRETS, "SLACK_BOT_TOKEN": "xoxb-x"}, "SLACK_BOT_TOKEN: invalid_auth", "xoxb-"),
    ("slack", {}, {**SECRETS, "SLACK_APP_TOKEN": "xapp-x"}, "SLACK_APP_TOKEN: invalid_auth", "Socket Mode"),
    ("slack", {"slack": {"channel": "#nowhere"}}, SECRETS, "no channel #nowhere", "Create #nowhere"),
    ("slack", {"slack": {"api_url": "http://127.0.0.1:9/api/"}}, SECRETS, "gives no answer", "way out"),
    ("mail", {"mail": {"port": 9}}, {}, "takes no mail", "mail.port"),
    ("mail", {"mail": {"starttls": True}}, {}, "takes no mail", "mail.starttls"),
    ("gateway", {}, {}, "gives no answer", "dayzero gateway"),
    ("gateway", {"cluster": {"kind": "slurm"}, "serving": {"address": ""}}, {}, "Nodes can't reach", "public_url"),
    ("gauntlet", {"gauntlet": {"suites": "/nonexistent"}}, {}, "/nonexistent", ""),
    ("providers", {"gateway": {"providers_file": "/nonexistent.toml"}}, {}, "no providers file", "Create it"),
    ("identity", {"gateway": {"oidc": NOBODY}}, {}, "can't be fetched", "jwks_url"),
    ("runtimes", {}, {}, "no program", "runtimes.<name>.command"),
    ("ledger", {"site": {"state": "/proc/nowhere"}}, {}, "can't be written", "site.state"),
    ("shared", {"site": {"shared": "/proc/nowhere"}}, {}, "can't be written", "site.shared"),
    ("settings", {"watch": {"organizations": []}}, {}, "something to watch", "settings.md"),
    ("settings", {"slack": {"approvers": []}}, SECRETS, "nobody may approve", "settings.md"),
]


@pytest.mark.parametrize(("part", "changes", "secrets", "sentence", "step"), WRONG)
def test_what_fails_says_what_and_how_to_mend_it(world, part, changes, secrets, sentence, step) -> None:
    """One sentence and a next step for each way to be wrong; no secret is in them."""
    result = one(part, made(world, secrets, **changes))
    assert result.ok is False
    assert sentence in result.sentence
    assert step in result.next_step
    assert not any(value in result.sentence + result.next_step for value in secrets.values())


def test_what_is_not_configured_is_no_fault(world) -> None:
    """No Slack, no mail, no providers, no Slurm: None, and a reason."""
    wanted = made(world, slack={"channel": ""}, mail={"host": ""}, gateway={"providers_file": None})
    results = {r.part: r for r in check.run(wanted)}
    for part in ("slack", "mail", "providers", "identity", "partition", "gpus", "account", "preemption"):
        assert results[part].ok is None and results[part].sentence, part


def test_a_part_that_hangs_does_not_hold_up_the_others(world) -> None:
    """After the limit it is a failure, and the answers of the others are there; a part that raises is one, too."""
    forever = threading.Event()
    checks = {
        "hangs": lambda _: forever.wait(60) and None,
        "raises": lambda _: 1 / 0,
        "works": lambda _: Found(True, "Good."),
    }
    began = time.monotonic()
    results = check.run(made(world), limit_s=0.5, checks=checks)
    assert time.monotonic() - began < 50
    forever.set()
    assert [r.ok for r in results] == [False, False, True]
    assert "No answer within 0.5 s" in results[0].sentence and "ZeroDivisionError" in results[1].sentence


def test_an_unknown_part_is_answered_with_the_nearest(world) -> None:
    """A typo costs no round of checks."""
    with pytest.raises(Refused) as refused:
        check.run(made(world), ["slak"])
    assert "slack" in refused.value.next_step


def test_who_is_at_work_is_read_without_touching_the_lock(tmp_path: Path) -> None:
    """The holder's process id while it holds the lock, None before and after."""
    assert site.at_work(tmp_path) is None
    descriptor = os.open(tmp_path / "reconciler.lock", os.O_CREAT | os.O_RDWR)
    assert site.at_work(tmp_path) is None
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert site.at_work(tmp_path) == os.getpid()
    os.close(descriptor)
    assert site.at_work(tmp_path) is None


def test_the_file_system_is_the_deepest_mount_that_holds_the_folder(tmp_path: Path) -> None:
    """/shared on Lustre inside / on ext4; a folder that only begins alike is not in it; spaces are escaped there."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 8:1 / / rw - ext4 /dev/sda rw\n"
        "22 21 0:30 / /shared rw shared:1 - lustre 10.0.0.1@tcp:/s rw\n"
        "23 21 0:31 / /my\\040disk rw - nfs4 host:/x rw\n"
    )
    kinds = [site.file_system(Path(p), str(mounts)) for p in ("/shared/models", "/sharedish", "/my disk/a")]
    assert kinds == ["lustre", "ext4", "nfs4"]


SERVING = {"Name": "serving", "Preempt": "research", "PreemptMode": "requeue", "GraceTime": "00:01:00"}
RESEARCH = {"Name": "research", "Preempt": "", "PreemptMode": "cluster", "GraceTime": "00:02:00"}
PREEMPTION = [
    ("preempt/qos", "REQUEUE", [SERVING, RESEARCH], True, "preempts research (requeue, GraceTime 00:02:00)", ""),
    ("preempt/qos", "GANG,SUSPEND", [SERVING, RESEARCH], True, "research (suspend", ""),
    ("preempt/qos", "CANCEL", [SERVING, RESEARCH], True, "are lost, not requeued", ""),
    ("preempt/none", "OFF", [SERVING, RESEARCH], False, "PreemptType is preempt/none", "PreemptType=preempt/qos"),
    ("", "", [], False, "not set", "PreemptMode=REQUEUE"),
    ("preempt/qos", "OFF", [SERVING, RESEARCH], False, "is OFF", "slurmctld"),
    ("preempt/qos", "REQUEUE", [RESEARCH], False, "There is no QOS serving", "add qos serving Priority"),
    ("preempt/qos", "REQUEUE", [{**SERVING, "Preempt": ""}, RESEARCH], False, "nobody", "set Preempt=research"),
    (
        "preempt/qos", "REQUEUE", [SERVING, {**RESEARCH, "PreemptMode": "off"}], False, "mode is off",
        "modify qos research set PreemptMode=requeue",
    ),
    ("preempt/partition_prio", "REQUEUE", [], True, "PriorityTier", ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "mode", "rows", "ok", "sentence", "step"), PREEMPTION)
def test_preemption_is_judged_from_what_slurm_says(kind, mode, rows, ok, sentence, step) -> None:
    """Every way in which a QOS may seem to preempt and doesn't, with the line that mends it."""
    found = preemption_found("serving", kind, mode, rows)
    assert found.ok is ok
    assert sentence.lower() in found.sentence.lower()
    assert step in found.next_step


@pytest.mark.parametrize(
    ("kill", "complete", "grace", "warns"),
    [(30, 0, "00:01:00", True), (30, 32, "00:01:00", False), (8, 0, "00:01:00", False), (30, 0, "00:00:00", False)],
)
def test_where_a_second_pair_would_be_taken(kill: int, complete: int, grace: str, warns: bool) -> None:
    """As it was measured: only with a grace, a long KillWait and nothing that waits for completing jobs."""
    config = f"CompleteWait            = {complete} sec\nKillWait                = {kill} sec\n"
    said = second_pair(config, [SERVING | {"GraceTime": "00:00:00"}, RESEARCH | {"GraceTime": grace}])
    assert ("CompleteWait" in said) == warns


def test_slurm_text_is_read_as_it_is_printed() -> None:
    """scontrol's padded columns and its records."""
    text = "PreemptMode             = GANG,REQUEUE\nPreemptType             = preempt/qos\n"
    assert value(text, "PreemptType") == "preempt/qos" and value(text, "PreemptMode") == "GANG,REQUEUE"
    assert value(text, "Nothing") == ""
    assert records("PartitionName=a State=UP TRES=cpu=4,mem=1\n\n") == [
        {"PartitionName": "a", "State": "UP", "TRES": "cpu=4,mem=1"}
    ]


@pytest.mark.slurm
def test_a_real_slurm_is_proven_part_by_part(slurm_cluster: Cluster, world) -> None:
    """Version, partition, GPUs, account and preemption, as they are; and each named wrongly."""
    right = {"kind": "slurm", "partition": "serving", "account": "serving", "qos": "serving"}
    wanted = made(world, cluster=right)
    results = check.run(wanted, ["scheduler", "partition", "gpus", "account", "preemption"])
    assert [r.ok for r in results] == [True] * 5, results
    assert "squeue" in results[0].sentence and "preempts research" in results[4].sentence
    for part, key, wrong, sentence in (
        ("partition", "partition", "servin", "no partition 'servin'"),
        ("account", "account", "nobody", "no association"),
        ("account", "qos", "unheard", "may not use the QOS unheard"),
        ("preemption", "qos", "research", "may preempt nobody"),
    ):
        result = one(part, made(world, cluster=right | {key: wrong}))
        assert result.ok is False and sentence in result.sentence, result
    for gpu, sentence in (({"gres": "h100"}, "named 'h100'"), ({"per_node": 8}, "at most 1")):
        toy = {"memory": 2_000_000, "gres": "toy", "per_node": 1} | gpu
        result = one("gpus", made(world, cluster=right | {"gpus": {"toy": toy}}))
        assert result.ok is False and sentence in result.sentence, result


def test_a_slurm_that_is_down_is_said_to_be(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No such cluster, or no client commands at all: every part of it fails with a sentence, none raises."""
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = made(world, cluster={"kind": "slurm", "qos": "serving"})
    for result in check.run(wanted, ["scheduler", "partition", "gpus", "account", "preemption"]):
        assert result.ok is False and result.sentence and result.next_step, result
    assert cluster.NO_SLURM.ok is None


def test_a_gateway_that_is_up_is_alive_and_ready(world, tmp_path: Path) -> None:
    """The real gateway as a process of its own."""
    _, at = world
    wanted = made(world)
    one("ledger", wanted)  # the gateway reads the routes there
    at_there = f'[gateway]\nport = {at.gateway_port}\n[site]\nstate = "{wanted.site.state}"\n'
    (tmp_path / "dayzero.toml").write_text(at_there)
    gateway = Gateway(tmp_path)
    try:
        found = until(lambda: (seen := one("gateway", wanted)).ok and seen, 30, "a gateway that is well")
        assert "alive and ready" in found.sentence
    finally:
        gateway.stop()
