"""`dayzero`: each verb over a real ledger and the lab's Hub; each way to be wrong; what is imported for an answer."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.arguments import WrongWords, parser
from bot.cli import main
from bot.verbs.table import VERBS
from lab.campus import config
from lab.hub.server import Hub
from lifecycle import actions, deliveries, queries, settings
from lifecycle.jobs import Victim
from lifecycle.ledger import Ledger
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan, Rung
from lifecycle.reconcile import only_one
from tests.bot.office import TINY, weights

SHA = "3f2a1b" + "0" * 34
NAME = "tiny-good-3f2a1b"


def a_plan(repo: str) -> Plan:
    return Plan(
        model=repo, revision=SHA, partition="serving", account="", qos="", gpu_type="toy", nodes=2, gpus_per_node=1,
        tensor_parallel=2, pipeline_parallel=1, ladder=(Rung(engine="vllm", runtime="vllm"),),
    )  # fmt: skip


class Desk:
    """Somebody with a terminal: `say` runs the command line and keeps what it printed."""

    def __init__(self, folder: Path, hub: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
        at = config.Addresses(
            hub=hub, github="http://127.0.0.1:9", slack_api="http://127.0.0.1:9/api/", mail_port=9,
            judge="http://127.0.0.1:9", gateway_port=9,
        )  # fmt: skip
        text = config.settings(
            folder, at, slurm=False, engine=folder, research_user="games", gpu_memory=2_000_000, ladder=["vllm"]
        )
        self.config = folder / "dayzero.toml"
        self.config.write_text(text)
        self._capsys = capsys
        monkeypatch.setenv("DAYZERO_CONFIG", str(self.config))
        monkeypatch.setenv("LOGNAME", "alice")
        self.ledger = Ledger(settings.load(self.config).ledger_path, time.time)

    def say(self, *words: str) -> tuple[int, str, str]:
        status = main(list(words))
        out, err = self._capsys.readouterr()
        return status, out, err

    def json(self, *words: str):
        status, out, err = self.say(*words, "--json")
        assert status == 0, (out, err)
        return json.loads(out)

    def offered(self, repo: str = "acme/Tiny-Good") -> int:
        """A release with a plan that waits for a person."""
        self.ledger.found("model", repo, SHA)
        release = queries.release_of(self.ledger.connection, "model", repo, SHA)
        self.ledger.learn(release, ModelFacts(repo=repo, revision=SHA), a_plan(repo))
        self.ledger.move_release(queries.release(self.ledger.connection, release.id), "offered")
        return release.id

    def moved(self, *events: str, **changes) -> None:
        for event in events:
            deployment = queries.deployment(self.ledger.connection, NAME)
            assert self.ledger.move_deployment(deployment, event, **changes)

    @property
    def state(self) -> str:
        return queries.deployment(self.ledger.connection, NAME).state


@pytest.fixture
def desk(tmp_path: Path, capsys, monkeypatch):
    desk = Desk(tmp_path, "http://127.0.0.1:9", capsys, monkeypatch)
    yield desk
    desk.ledger.close()


@pytest.fixture
def hub_desk(tmp_path: Path, capsys, monkeypatch):
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(Hub(tmp_path / "hub"))
        hub.publish({**TINY, "model.safetensors": weights()}, "acme/tiny")
        hub.publish({"README.md": "# Words only\n", "config.json": "{}"}, "acme/words")
        desk = Desk(tmp_path, hub.url, capsys, monkeypatch)
        desk.hub = hub
        yield desk
        desk.ledger.close()


# The story ------------------------------------------------------------------------------------------------------


def test_a_release_is_approved_promoted_and_retired_by_words(desk: Desk) -> None:
    """status → approve → (the reconciler's steps) → promote → retire; by number, by model, by id; history names us."""
    number = desk.offered()
    status, out, _ = desk.say("status")
    assert status == 0 and f"dayzero approve {number}" in out and "Nothing is deployed" in out
    assert desk.json("approve", "acme/Tiny-Good")["deployment"] == NAME
    assert "alice (command line) was faster" in desk.say("approve", str(number))[1]
    desk.moved("cached", "healthy", "listed", "passed")
    assert desk.say("promote", NAME, "--because", "it is good")[0] == 0
    assert desk.state == "STABLE"
    assert desk.say("promote", "acme/Tiny-Good", "preview")[0] == 0
    assert desk.say("retire", "acme/Tiny-Good")[0] == 0
    assert desk.state == "DRAINING"
    status, out, _ = desk.say("history", NAME)
    assert status == 0
    for words in (
        "FOUND → OFFERED",
        "alice (command line) approved it",
        "promoted it to stable. it is good",
        "ends it",
    ):
        assert words in out
    assert len(desk.say("history", NAME, "--tail", "2")[1].splitlines()) == 4  # name, day, two events
    events = desk.json("history", NAME)
    assert [e["new"] for e in events if e["kind"] == "deployment.promoted"] == ["STABLE"]


def test_what_broke_and_what_is_held_says_what_can_be_said(desk: Desk) -> None:
    """status gives the reason and the commands; they do what they say."""
    desk.offered()
    desk.say("approve", "1")
    desk.moved("broke", reason="The disk is full.", next_step="Make room.")
    out = desk.say("status")[1]
    assert f"{NAME} is BROKEN: The disk is full." in out and f"Make room. `dayzero retry {NAME}`" in out
    assert desk.say("retry", NAME)[0] == 0 and desk.state == "CACHING"
    desk.moved("cached", "healthy", "listed", "undecided", reason="A judge is missing.")
    assert f"dayzero fail {NAME}" in desk.say("status", NAME)[1]
    assert desk.say("fail", NAME)[0] == 0 and desk.state == "DRAINING"


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        ({"stage": "cache", "done": 5e9, "total": 1e10, "rate": 5e7}, "5 GB of 10 GB, 50 MB/s, 2 min left"),
        ({"stage": "cache", "waiting": "Priority"}, "download waits in the queue (Priority)"),
        ({"stage": "queue", "handle": "17", "reason": "Resources"}, "job 17 waits (Resources)"),
        (
            {"stage": "queue", "handle": "17", "reason": "Priority", "place": 2, "waiting": 5},
            "job 17 waits (Priority), 2 of 5 that wait for GPUs",
        ),
        ({"stage": "load", "progress": 0.5, "note": "loading shard 3"}, "▓▓▓▓▓▓▓▓▓▓░░░░░░░░░░ 50% loading shard 3"),
        ({"stage": "exam", "done": 3, "total": 84}, "3 of 84 samples"),
        ({"stage": "list", "note": "waiting for the gateway"}, "waiting for the gateway"),
    ],
)
def test_status_shows_how_far_it_is(desk: Desk, progress, words) -> None:
    """Each stage has its own words, in the list and alone."""
    desk.offered()
    desk.say("approve", "1")
    desk.ledger.amend("deployments", NAME, progress=progress)
    assert words in desk.say("status")[1]
    assert words in desk.say("status", NAME)[1]
    assert desk.json("status")["deployments"][0]["progress"] == progress


def test_one_deployment_is_shown_with_its_servers_and_victims(desk: Desk) -> None:
    """`status NAME`: engine, address, nodes, whose job goes."""
    desk.offered()
    desk.say("approve", "1")
    server = desk.ledger.want_server(queries.deployment(desk.ledger.connection, NAME))
    victim = Victim(handle="17", name="pretrain", user="bob", node_count=1, gpus=8, ran_s=7200)
    desk.ledger.expect_victim(NAME, server, victim)
    desk.ledger.amend("servers", server, url="http://node-1:9000", engine="vllm", nodes="node-1,node-2")
    out = desk.say("status", NAME)[1]
    assert "server 1: WANTED" in out and "vllm, http://node-1:9000, node-1,node-2" in out
    assert "job 17 (pretrain) of bob: expected, 16.0 GPU-hours" in out


def test_status_says_whether_somebody_is_at_work(desk: Desk) -> None:
    """A ledger that nobody moves looks like one where nothing happens: so it is said."""
    desk.offered()
    assert "No bot is at work" in desk.say("status")[1]
    with only_one(settings.load(desk.config).site.state):
        assert "No bot" not in desk.say("status")[1]
        assert desk.json("status")["bot"] == os.getpid()


def test_skip_and_the_release_by_name(desk: Desk) -> None:
    """A decision against it; then it is no longer in the way."""
    desk.offered()
    assert desk.say("skip", "acme/Tiny-Good")[0] == 0
    assert desk.json("status")["releases"] == []


def test_a_model_of_the_hub_is_planned_and_deployed(hub_desk: Desk) -> None:
    """`plan` shows sizes, victims and the whole script and writes nothing down; `deploy` approves what it found."""
    status, out, err = hub_desk.say("plan", "acme/tiny", "--nodes", "2", "--for", "1h")
    assert status == 0, err
    assert "LlamaForCausalLM" in out and "2 × 1 toy" in out and "#SBATCH --time=0-01:00:00" in out
    assert out.index("batch.payloads.cache_weights") < out.index("batch.payloads.serve")
    assert hub_desk.json("status")["releases"] == []
    planned = hub_desk.json("plan", "acme/tiny")
    made = hub_desk.json("deploy", "acme/tiny")
    deployment = queries.deployment(hub_desk.ledger.connection, made["deployment"])
    assert deployment.plan.digest == planned["digest"] and deployment.created_by == "alice (command line)"


def test_tick_takes_a_step_and_refuses_a_second_reconciler(hub_desk: Desk) -> None:
    """One round by hand; not while another process holds the lock."""
    done = hub_desk.json("tick")
    assert done["scheduler_ok"] is True
    holder = (
        "import sys\nfrom pathlib import Path\nfrom lifecycle.reconcile import only_one\n"
        "with only_one(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    state = str(settings.load(hub_desk.config).site.state)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", holder, state], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout.readline() == "held\n"
        status, _, err = hub_desk.say("tick")
        other.stdin.close()
    assert status == 1 and "Another dayzero process is at work" in err


def test_keys_and_usage(desk: Desk) -> None:
    """A key is made, listed without its secret, revoked; usage is a table, CSV or JSON."""
    key = desk.say("keys", "create", "notebook", "--tags", "preview", "--team", "nlp", "--days", "7")[1].strip()
    assert key.startswith("dz-")
    (listed,) = desk.json("keys")
    assert (listed["name"], listed["tags"], listed["alive"]) == ("notebook", ["preview"], True)
    assert key not in desk.say("keys", "list")[1]
    assert "revoked" in desk.say("keys", "revoke", "notebook")[1]
    assert desk.json("keys", "list")[0]["alive"] is False
    assert desk.json("usage", "--by", "team") == []
    assert desk.say("usage", "--csv")[1].startswith("model,requests")
    status, _, said = desk.say("usage", "--by", "moon")
    assert status == 1 and "Choose from model, key" in said


def test_check_and_gauntlet_answer_in_json_with_their_status(desk: Desk) -> None:
    """1 when a part fails, 0 when it does not; the Gauntlet's own status and lines."""
    assert [r["ok"] for r in desk.json("check", "ledger", "shared")] == [True, True]
    status, out, _ = desk.say("check", "hub", "--json")
    assert status == 1 and json.loads(out)[0]["next_step"]
    found = desk.json("gauntlet", "check")
    assert found["status"] == 0 and any(line.startswith("sanity:") for line in found["lines"])


# Ways to be wrong -----------------------------------------------------------------------------------------------

WRONG_WORDS = [
    (["staus"], "Did you mean status"),
    (["status", "--jsn"], "--json"),
    (["deploy"], "required: MODEL"),
    (["deploy", "acme/x", "--nodes", "0"], "whole number"),
    (["deploy", "acme/x", "--nodes", "many"], "whole number"),
    (["deploy", "acme/x", "--for", "soon"], "12h or 2d"),
    (["deploy", "acme/x", "--for", "9999d"], "12h or 2d"),
    (["promote", NAME, "stabel"], "Did you mean stable?"),
    (["keys", "crate", "x"], "Did you mean create"),
    (["gauntlet", "rnu"], "Did you mean run?"),
    (["usage", "--days", "many"], "invalid float value"),
    ([], "dayzero --help"),
]


@pytest.mark.parametrize(("words", "said"), WRONG_WORDS)
def test_wrong_words_are_answered_with_the_nearest_right_ones(desk: Desk, words, said) -> None:
    """Exit status 2, one line, no traceback; the same as JSON."""
    status, out, err = desk.say(*words)
    assert (status, out) == (2, "") and said in err and len(err.splitlines()) == 1
    status, out, _ = desk.say("--json", *words)
    answer = json.loads(out)
    assert status == 2 and said in f"{answer['error']} {answer['next_step']}" and answer["retryable"] is False


WRONG_NAMES = [
    (["status", "tiny-god-3f2a1b"], f"Did you mean {NAME}?"),
    (["history", "acme/Tiny-God"], "Did you mean acme/Tiny-Good"),
    (["promote", "tiny-good"], f"Did you mean {NAME}"),
    (["retire", "qqq"], "The latest are"),
    (["approve", "99"], "There is no release 99"),
    (["approve", "acme/Tiny-Goof"], "Did you mean acme/Tiny-Good?"),
    (["skip", "1"], "cannot be skipped"),
    (["approve", "2", "--digest", "000"], "The plan has changed"),
    (["retry", NAME], "cannot be retried"),
    (["promote", NAME], "cannot be promoted"),
    (["promote", NAME, "preview"], "only a HELD one"),
    (["plan", "no model"], "is not the name of a model"),
    (["plan", "../etc/passwd"], "is not the name of a model"),
    (["keys", "create", "x", "--tags", "gold"], "Choose from"),
    (["keys", "revoke", "nobody"], "no living key"),
    (["usage", "--days", "-1"], "--days 30"),
    (["check", "slak"], "Did you mean slack?"),
    (["history", NAME, "--config", "/nonexistent.toml"], "Copy docs/dayzero.example.toml"),
]


@pytest.mark.parametrize(("words", "said"), WRONG_NAMES)
def test_what_is_not_there_or_not_possible_is_one_sentence(desk: Desk, words, said) -> None:
    """Exit status 1: a person must change something; nothing is changed by it."""
    desk.offered()
    desk.say("approve", "1")
    desk.offered("acme/Other")
    before = desk.ledger.connection.execute("SELECT count(*) FROM events").fetchone()[0]
    status, out, err = desk.say(*words)
    assert (status, out) == (1, ""), (out, err)
    assert err.startswith("dayzero: ") and said in err and len(err.splitlines()) == 1
    assert desk.ledger.connection.execute("SELECT count(*) FROM events").fetchone()[0] == before


HUB_SAYS = [
    ("acme/tinny", 1, "acme/tiny"),
    ("acme/tiny@v9", 1, "v9"),
    ("acme/words", 1, "weights"),
    ("acme/tiny --nodes 64", 1, "nodes"),
    ("acme/tiny --engine sglang", 1, "sglang"),
]


@pytest.mark.parametrize(("words", "status", "said"), HUB_SAYS)
def test_what_the_hub_or_the_planner_refuse_is_one_sentence(hub_desk: Desk, words, status, said) -> None:
    """An unknown model with the nearest ones, an unknown revision, no weights, more than the rails allow."""
    got, out, err = hub_desk.say("deploy", *words.split())
    assert (got, out) == (status, "") and said in err and len(err.splitlines()) == 1, err
    got, out, _ = hub_desk.say("plan", *words.split())
    assert got == status


TYPOS = [
    ("[watch]\norganisations = ['acme']", "watch.organisations", "organizations"),
    ("[cluster]\npartitoin = 'x'", "cluster.partitoin", "partition"),
    ("[cluster.guards]\nmax_nodes = 'two'", "cluster.guards.max_nodes", "integer"),
    ("[cluster]\nkind = 'slrum'", "cluster.kind", "'slurm' or 'local'"),
    ("tick_s = -1", "tick_s", "greater than 0"),
    ("[hub]\ntoken = 'hf_1'", "hub.token is a secret", "HF_TOKEN"),
    ("[cluster]\nkind = slurm", "can't be read as TOML", "line 2"),
]


@pytest.mark.parametrize(("text", "key", "expected"), TYPOS)
def test_a_typo_in_the_settings_is_named(desk: Desk, text, key, expected) -> None:
    """The file, the key, what was expected; never a secret's value."""
    desk.config.write_text(text)
    status, _, err = desk.say("status")
    assert status == 1 and key in err and expected in err and "hf_1" not in err and len(err.splitlines()) == 1


def test_a_hub_or_a_scheduler_that_is_down_is_worth_another_try(desk: Desk, tmp_path: Path, monkeypatch) -> None:
    """75: a script may simply wait. A silent Slurm is no error of tick: it says so, and moves nothing."""
    status, _, err = desk.say("plan", "acme/tiny")
    assert status == 75 and "Hub" in err
    status, out, _ = desk.say("deploy", "acme/tiny", "--json")
    assert status == 75 and json.loads(out)["retryable"] is True
    desk.config.write_text(desk.config.read_text().replace('kind = "local"', 'kind = "slurm"'))
    monkeypatch.setenv("PATH", str(tmp_path))
    desk.offered()
    desk.say("approve", "1")
    desk.ledger.intend("dz-x", NAME, "cache", 1, tmp_path, None)
    desk.ledger.submitted("dz-x", "17", deployment_id=NAME, purpose="cache")
    done = desk.json("tick")
    assert done["scheduler_ok"] is False and "squeue" in done["stumbles"][0] and desk.state == "CACHING"


def test_a_ledger_that_cannot_be_opened_is_one_sentence(desk: Desk) -> None:
    """No permission, not a database: no traceback."""
    desk.config.write_text('[site]\nstate = "/proc/nowhere"')
    status, _, err = desk.say("status")
    assert status == 1 and "/proc/nowhere" in err and len(err.splitlines()) == 1
    folder = desk.config.parent / "odd"
    folder.mkdir()
    (folder / "ledger.db").write_text("this is a letter, not a database" * 100)
    desk.config.write_text(f'[site]\nstate = "{folder}"')
    status, _, err = desk.say("status")
    assert status == 1 and "not a database" in err and "dayzero check ledger" in err


# Words and imports ----------------------------------------------------------------------------------------------


def _words(top: argparse.ArgumentParser, path: tuple[str, ...] = ()):
    yield path, top
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from _words(below, (*path, name))


def test_every_verb_has_help_json_and_config(capsys) -> None:
    """Each verb explains itself and takes --json and --config after it; each is wired to a function."""
    top = parser()
    found = dict(_words(top))
    assert {path[0] for path in found if path} == {*VERBS, "gauntlet"}
    for path, below in found.items():
        assert {"--json", "--config"} <= set(below._option_string_actions), path
        for action in below._actions if path[:1] != ("gauntlet",) else ():
            assert action.help or isinstance(action, argparse._SubParsersAction), (path, action.dest)
        with pytest.raises(SystemExit) as left:
            top.parse_args([*path, "--help"])
        assert left.value.code == 0
        assert "dayzero" in capsys.readouterr().out


def test_options_before_and_after_the_verb_mean_the_same() -> None:
    """--config and --json in either place; the later one wins."""
    for words in (["--config", "a", "--json", "status"], ["status", "--config", "a", "--json"]):
        options = parser().parse_args(words)
        assert (options.config, options.json) == ("a", True)
    assert parser().parse_args(["--config", "a", "keys", "list", "--config", "b"]).config == "b"
    assert parser().parse_args(["status"]).config is None
    with pytest.raises(WrongWords):
        parser().parse_args(["status", "--conf", "a"])


HEAVY = {"httpx", "huggingface_hub", "litellm", "slack_sdk", "slack_bolt", "submitit", "uvicorn", "asyncio", "jinja2"}


@pytest.mark.parametrize("words", [["status"], ["history", NAME], ["approve", "1"], ["keys"], ["staus"]])
def test_nothing_is_imported_that_the_verb_does_not_need(desk: Desk, words) -> None:
    """`status` brings no HTTP client, no Slack, no LiteLLM: measured in a process of its own."""
    desk.offered()
    actions.approve(desk.ledger, 1, "", by="alice")
    code = (
        "import sys\nfrom bot.cli import main\nmain(sys.argv[1:])\n"
        "print(' '.join({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120)
    brought = set(done.stderr.splitlines()[-1].split())
    assert "bot" in brought and not brought & HEAVY, brought & HEAVY


def test_a_reader_that_leaves_costs_no_traceback(desk: Desk) -> None:
    """`dayzero history … | head`."""
    argv = [sys.executable, "-m", "bot.cli", "status"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True) as child:
        child.stdout.close()
        err = child.stderr.read()
    assert "Traceback" not in err and "BrokenPipe" not in err and child.returncode == 141


def test_logs_and_the_forms_of_status(desk: Desk) -> None:
    """logs: the end of the right log, or what to do; status cluster, costs, history: text and JSON."""
    desk.offered()
    desk.say("approve", "1")
    status, _, err = desk.say("logs", NAME)
    assert status == 1 and "no log yet" in err
    folder = settings.load(desk.config).site.shared / "runs" / NAME / "cache"
    folder.mkdir(parents=True)
    (folder / "slurm-1.out").write_text("".join(f"line {n}\n" for n in range(50)))
    out = desk.say("logs", NAME, "--lines", "2")[1]
    assert out.splitlines() == ["cache/slurm-1.out:", "line 48", "line 49"]
    assert desk.json("logs", NAME)["lines"][-1] == "line 49"
    assert "GPUs held: 0 by dayzero" in desk.say("status", "cluster")[1]
    assert desk.json("status", "cluster")["ours"] == 0
    assert "Nothing was called today" in desk.say("status", "costs")[1] and desk.json("status", "costs") == []
    assert "acme/Tiny-Good" in desk.say("status", "history")[1]
    assert desk.json("status", "history")[0]["decision"] is not None


def test_dead_letters_are_listed_and_sent_again(desk: Desk) -> None:
    """webhooks: all taken; one that nobody took, with the reason; retry; a receiver that is not there."""
    assert "Everything was taken" in desk.say("webhooks")[1]
    desk.config.write_text(desk.config.read_text() + '\n[webhooks.to.ci]\nurl = "http://127.0.0.1:9"\n')
    wanting = lambda event: ["ci"]  # noqa: E731
    deliveries.enqueue(desk.ledger, wanting)
    desk.ledger.note("note.scheduler_back")
    deliveries.enqueue(desk.ledger, wanting)
    (found,) = deliveries.due(desk.ledger.connection, time.time() + 1)
    deliveries.refused(desk.ledger, found, "It answered 404.", None)
    assert "It answered 404." in desk.say("webhooks")[1]
    assert desk.json("webhooks", "list", "--to", "ci")[0]["state"] == "DEAD"
    assert "1 dead letter will be sent again" in desk.say("webhooks", "retry")[1]
    assert desk.json("webhooks")[0]["state"] == "DUE"
    status, _, err = desk.say("webhooks", "retry", "--to", "cii")
    assert status == 1 and "Did you mean ci?" in err


def test_the_dry_run_of_an_organisation(hub_desk: Desk) -> None:
    """watch dry-run: text and JSON; an organisation that is not there."""
    status, out, _ = hub_desk.say("watch", "dry-run", "acme", "--days", "7")
    assert status == 0 and "2 announcements of 2 new repositories in 7 days" in out and "acme/tiny" in out
    assert {row["repo"] for row in hub_desk.json("watch", "dry-run", "acme")} == {"acme/tiny", "acme/words"}
    assert "0 announcements" in hub_desk.say("watch", "dry-run", "nobody")[1]
