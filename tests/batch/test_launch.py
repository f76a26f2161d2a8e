"""The launcher's whole behaviour, watched from outside: files, processes, HTTP."""

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.batch.launching import LOGS, Launch, rung
from tests.waiting import until


@pytest.fixture
def launch(tmp_path: Path) -> Iterator:
    made: list[Launch] = []

    def make(*ladder: dict, **more: object) -> Launch:
        made.append(Launch(tmp_path, list(ladder), **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def complete(url: str, prompt: str) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request("POST", "/v1/completions", json.dumps({"model": "acme/toy", "prompt": prompt}))
    status = connection.getresponse().status
    connection.close()
    return status


def test_two_ranks_come_up_and_the_endpoint_tells_all(launch):
    """One engine over two nodes: loading is shown, the endpoint is complete, SIGTERM ends it with status 0."""
    server = launch(rung(load_s=1.5)).start()
    half = until(lambda: 0.2 < server.read("heartbeat").get("progress", 0) < 0.7, 20, "progress while loading")
    assert half and server.read("heartbeat")["phase"] == "loading"
    assert "shard" in server.read("heartbeat")["note"]
    endpoint = server.up()
    assert endpoint["url"].startswith("http://127.0.0.1:")
    known = {key: endpoint[key] for key in ("model", "engine", "engine_version", "rung", "job", "restarts", "context")}
    assert known == {
        "model": "acme/toy", "engine": "vllm", "engine_version": "9.9.9", "rung": 0, "job": "77", "restarts": 0,
        "context": 512,
    }  # fmt: skip
    assert complete(endpoint["url"], "Hi") == 200
    until(lambda: server.read("heartbeat")["generated"] >= 2, 5, "counted tokens")
    assert len(server.engines()) == 2
    assert "--headless" in (server.folder / "0-vllm-rank1.log").read_text()
    server.tell()
    assert server.ended() == 0
    assert not server.read("endpoint") and not server.read("failure") and not server.engines()


def test_an_unknown_architecture_falls_to_the_next_engine_in_the_same_run(launch):
    """vLLM's own words about an architecture; the next rung serves, under its own name, and says why it is used."""
    server = launch(rung(print=str(LOGS / "vllm-architecture.txt"), exit=1), rung("transformers")).start()
    endpoint = server.up()
    assert endpoint["engine"] == "transformers" and endpoint["rung"] == 1
    assert endpoint["model"].endswith("/model")
    assert endpoint["why"] == "vllm: It doesn't know the architecture GPTNeoForCausalLM."
    assert len(server.engines()) == 1  # it can't span nodes
    assert "Now transformers, in this allocation." in server.said()


def test_when_all_fail_the_sentence_says_what_was_tried_and_why(launch):
    """Both engines named, both reasons, the next step, the log and the telling line; nothing left running."""
    server = launch(
        rung(print=str(LOGS / "vllm-architecture.txt"), exit=1, orphan=True),
        rung("transformers", print=str(LOGS / "cuda-memory.txt"), exit=1),
    ).start()
    assert server.ended() == 1
    failure = server.read("failure")
    assert failure["sentence"] == (
        "None of 2 engines could serve acme/toy. vllm: It doesn't know the architecture GPTNeoForCausalLM. "
        "transformers: The GPU's memory ran out: 224.00 MiB more were needed."
    )
    assert failure["kind"] == "memory" and failure["retryable"] is False and failure["job"] == "77"
    assert "more GPUs" in failure["next_step"]
    assert failure["log"] == "1-transformers-rank0.log" and failure["rung"] == 1
    assert "out of memory" in failure["tail"]
    assert not server.engines() and not server.read("endpoint")


def test_memory_on_one_rung_still_walks_on_and_says_it(launch):
    """Another engine of the same size is tried, with a line that it will hardly help."""
    server = launch(rung(print=str(LOGS / "cuda-memory.txt"), exit=1), rung("transformers")).start()
    assert server.up()["rung"] == 1
    assert "will hardly help" in server.said()


def test_a_port_snatched_away_is_tried_again_with_another(launch):
    """Twice EADDRINUSE, in vLLM's words, then up: on the same rung, each time on other ports."""
    server = launch(rung(print=str(LOGS / "vllm-port.txt"), exit=1, only=2, rank=0)).start()
    endpoint = server.up()
    assert endpoint["rung"] == 0 and server.starts() == 3
    log = (server.folder / "0-vllm-rank0.log").read_text()
    ports = [line.split("--port ")[1].split()[0] for line in log.splitlines() if line.startswith("dayzero: rank 0 on")]
    assert len(set(ports)) == 3
    assert endpoint["url"].endswith(ports[-1])


def test_health_alone_is_not_ready(launch):
    """An engine that listens and dies at the first request was never up: no endpoint, next rung."""
    server = launch(rung(crash=True), rung("transformers")).start()
    assert server.up()["rung"] == 1
    assert (
        "vllm: It ended with AssertionError: assert self.intermediate_tensors is not None"
        in server.read("endpoint")["why"]
    )


def test_an_engine_that_only_answers_errors_is_left(launch):
    """HTTP 500 instead of a completion, several times: the rung fails with the engine's words."""
    server = launch(rung(refuse=True), bad_answers=2).start()
    assert server.ended() == 1
    assert "can't answer: HTTP 500" in server.read("failure")["sentence"]


def test_one_rank_that_dies_takes_the_other_along(launch):
    """Rank 1 fails; rank 0, which would wait for ever, is ended, and the reason is read from rank 1's log."""
    server = launch(rung(print=str(LOGS / "cuda-memory.txt"), exit=1, rank=1, hang=True)).start()
    began = time.monotonic()
    assert server.ended() == 1
    assert time.monotonic() - began < 60
    assert server.read("failure")["log"] == "0-vllm-rank1.log"
    assert not server.engines()


def test_a_deadline_ends_a_hanging_start(launch):
    """No answer within start_timeout_s: killed, though it ignores SIGTERM and left an orphan; worth another try."""
    server = launch(rung(hang=True, deaf=True, orphan=True, timeout=1.5), stop_s=0.5).start()
    until(lambda: len(server.engines()) == 4, 10, "two ranks, two orphans")
    assert server.ended() == 75
    assert server.read("failure")["kind"] == "timeout"
    assert "not ready after 2 s" in server.read("failure")["sentence"]
    assert not server.engines()


def test_a_missing_program_is_named(launch):
    """The runtime's command doesn't exist: said so, with what to mend."""
    server = launch(rung(argv=["/no/such/vllm", "serve"])).start()
    assert server.ended() == 1
    assert "/no/such/vllm can't be started (No such file or directory)" in server.read("failure")["sentence"]
    assert "settings" in server.read("failure")["next_step"]


def test_a_dead_engine_is_started_again_in_place(launch):
    """Its death takes the endpoint back; the same rung comes up again under the same job."""
    server = launch(rung(die="die-now")).start()
    server.up()
    server.make("die-now")
    until(lambda: not server.read("endpoint"), 10, "the address taken back")
    assert server.read("heartbeat")["healthy"] is False
    server.up()
    assert server.starts() == 2 and server.read("heartbeat")["healthy"] is True
    assert "Restart 1 of 3" in server.said()


def test_it_gives_up_after_its_restarts(launch):
    """An engine that always dies again is given up, as worth another try elsewhere, with its own words."""
    server = launch(rung(die="die-now"), rung("transformers"), restarts=1).start()
    for count in (1, 2):
        server.up()
        assert server.starts() == count
        server.make("die-now")
        until(lambda: not server.read("endpoint"), 10, "the address taken back")
    assert server.ended() == 75
    failure = server.read("failure")
    assert "started again 1 times and did not stay up" in failure["sentence"]
    assert "A GPU or the link between GPUs failed" in failure["sentence"]
    assert server.starts("transformers") == 0


def test_a_frozen_engine_is_noticed_and_started_again(launch):
    """A request runs, /health says 200, no token moves: unhealthy, then a new start."""
    server = launch(rung(freeze="freeze-now")).start()
    url = server.up()["url"]
    server.make("freeze-now")
    until(lambda: not (server.state / "vllm" / "freeze-now").exists(), 5, "the freeze")
    threading.Thread(target=lambda: _ignoring(complete, url, "Hi"), daemon=True).start()
    beat = until(lambda: (b := server.read("heartbeat"))["healthy"] is False and b, 15, "an unhealthy heartbeat")
    assert "no token has moved" in beat["note"]
    until(lambda: server.read("endpoint") and server.starts() == 2, 15, "it is up again")


def test_an_engine_that_never_answers_is_noticed(launch):
    """Three looks without an answer are enough."""
    server = launch(rung(mute="mute-now")).start()
    server.up()
    server.make("mute-now")
    beat = until(lambda: (b := server.read("heartbeat"))["healthy"] is False and b, 15, "an unhealthy heartbeat")
    assert "no answer 3 times" in beat["note"]


def test_sigterm_takes_the_address_back_and_lets_requests_finish(launch):
    """The endpoint goes at once, the running request gets its answer, then the job ends with status 0."""
    server = launch(rung()).start()
    url = server.up()["url"]
    statuses: list[int] = []
    slow = threading.Thread(target=lambda: statuses.append(complete(url, "slow 2")))
    slow.start()
    until(lambda: server.read("heartbeat")["running"] == 1, 5, "the request runs")
    began = time.monotonic()
    server.tell()
    until(lambda: not server.read("endpoint"), 10, "the address is taken back")
    assert server.process.poll() is None
    until(lambda: server.read("heartbeat")["phase"] == "draining", 10, "draining")
    assert server.ended() == 0
    slow.join()
    assert statuses == [200]
    assert time.monotonic() - began < 30 and not server.engines()


def test_draining_has_an_end(launch):
    """A request that never ends, an engine that ignores SIGTERM: gone soon after drain_s all the same."""
    server = launch(rung(deaf=True), drain_s=1, stop_s=0.5).start()
    url = server.up()["url"]
    threading.Thread(target=lambda: _ignoring(complete, url, "slow 60"), daemon=True).start()
    until(lambda: server.read("heartbeat")["running"] == 1, 5, "the request runs")
    began = time.monotonic()
    server.tell()
    assert server.ended() == 0
    assert 1 < time.monotonic() - began < 30
    assert not server.engines()


def test_sigterm_while_loading_ends_at_once(launch):
    """Nothing to drain: ended within seconds, nothing left, no failure written."""
    server = launch(rung(load_s=60)).start()
    until(lambda: server.read("heartbeat").get("phase") == "loading", 10, "loading")
    began = time.monotonic()
    server.tell()
    assert server.ended() == 0
    assert time.monotonic() - began < 30
    assert not server.engines() and not server.read("failure")


def test_a_killed_launcher_leaves_no_engine(launch):
    """kill -9 of the launcher: ranks, engines and what they started are gone by themselves."""
    server = launch(rung(orphan=True)).start()
    server.up()
    assert len(server.engines()) == 4
    server.tell(signal.SIGKILL)
    until(lambda: not server.engines(), 15, "all engines gone")


def test_a_killed_rank_leaves_no_engine(launch):
    """kill -9 of the process between: its engine dies with it, and the launcher starts again."""
    server = launch(rung()).start()
    server.up()
    engine = next(int(f.name) for f in (server.state / "vllm" / "pids").iterdir() if f.read_text() == "rank 1")
    os.kill(_parent(engine), signal.SIGKILL)
    until(lambda: engine not in server.engines(), 5, "the engine's death")
    until(lambda: server.starts(rank=1) == 2, 15, "a new start")


def test_a_step_told_to_end_is_drained_like_the_job(launch):
    """Slurm's SIGTERM at the beginning of a preemption reaches only the ranks: the running request still finishes."""
    server = launch(rung()).start()
    url = server.up()["url"]
    statuses: list[int] = []
    slow = threading.Thread(target=lambda: statuses.append(complete(url, "slow 3")))
    slow.start()
    until(lambda: server.read("heartbeat")["running"] == 1, 5, "the request runs")
    for shim in {_parent(pid) for pid in server.engines()}:
        os.kill(shim, signal.SIGTERM)
    until(lambda: not server.read("endpoint"), 4, "the address is taken back")
    assert server.ended() == 0
    slow.join()
    assert statuses == [200] and server.starts() == 1 and not server.engines()


def test_a_death_that_slurm_answers_with_sigterm_is_no_order_to_end(launch):
    """srun sends SIGTERM to the ranks that are left, and they take their time: still started again, not ended."""
    server = launch(rung(die="die-now", rank=1, deaf=True), stop_s=2).start()
    server.up()
    engine = next(pid for pid in server.engines() if (server.state / "vllm/pids" / str(pid)).read_text() == "rank 0")
    server.make("die-now")
    os.kill(_parent(engine), signal.SIGTERM)
    until(lambda: server.read("endpoint") and server.starts(rank=1) == 2, 20, "it is up again")


def test_a_requeued_run_forgets_its_elder(launch):
    """Files of the run before are removed first thing; the new endpoint carries the restart count."""
    server = launch(rung(load_s=2))
    for name in ("endpoint", "failure"):
        (server.folder / f"{name}.json").write_text('{"v": 1, "at": 0, "job": "77", "url": "http://old"}')
    server.start(restarts=2)
    until(lambda: not server.read("endpoint") and not server.read("failure"), 5, "old files removed")
    assert server.up()["restarts"] == 2


def test_two_launchers_on_one_host_share_no_port(launch, tmp_path):
    """Same job number (two pretended clusters), same moment: both come up, on different ports."""
    other = Launch(tmp_path / "other", [rung()], job="77")
    try:
        first, second = launch(rung()).start(), other.start()
        assert first.up()["url"] != second.up()["url"]
        assert first.starts() == second.starts() == 1
    finally:
        other.close()


def test_a_bad_order_is_told(launch):
    """launch.json with a misspelt limit: failure.json, status 1, no engine."""
    server = launch(rung(), drain=3).start()
    assert server.ended() == 1
    assert "there is no limit 'drain'" in server.read("failure")["sentence"]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _ignoring(act, *arguments: object) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        act(*arguments)
