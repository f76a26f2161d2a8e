"""The launcher's pure parts: node lists, ports, command lines, progress, health."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.payloads.launch import engines
from batch.payloads.launch.allocation import expand, this_job
from batch.payloads.launch.engines import Place
from batch.payloads.launch.health import Health
from batch.payloads.launch.loading import Loading, advance
from batch.payloads.launch.logs import KEEP, Log
from batch.payloads.launch.order import Limits, Order, Rung, Shape
from batch.payloads.launch.ports import Ports
from batch.payloads.launch.probe import Sample, sample
from batch.payloads.launch.ranks import srun_argv, srun_codes

SHAPE = Shape(2, 2, 1, 1, False, 512, "bfloat16", False, 0)
RUNG = Rung(0, "vllm", "vllm", ("/opt/vllm", "serve"), ("--enforce-eager",), {}, 60, "")
ORDER = Order(Path("/models/toy"), "acme/toy", "", SHAPE, (RUNG,), Limits())
PLACE = Place(("n1", "n2"), 20000, 20001)

prefixes = st.from_regex(r"[a-z][a-z-]{0,6}", fullmatch=True)


@st.composite
def bracketed(draw) -> tuple[str, list[str]]:
    """A Slurm expression and the names it stands for, made side by side."""
    prefix, width = draw(prefixes), draw(st.integers(1, 4))
    pieces, names = [], []
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, 10**width - 1))
        last = draw(st.integers(first, min(first + 12, 10**width - 1)))
        numbers = [str(n).zfill(width) for n in range(first, last + 1)]
        pieces.append(numbers[0] if first == last else f"{numbers[0]}-{numbers[-1]}")
        names += [prefix + number for number in numbers]
    return f"{prefix}[{','.join(pieces)}]", names


@given(st.lists(st.one_of(bracketed(), prefixes.map(lambda name: (name, [name]))), max_size=4))
def test_node_lists_expand_to_what_they_were_made_from(parts):
    """Any mixture of plain names and bracket lists: every name, in order, zeros kept."""
    assert expand(",".join(text for text, _ in parts)) == [name for _, names in parts for name in names]


def test_node_lists_of_two_dimensions_and_wrong_ones():
    """rack[1-2]-node[01-02], and a list cut short, which must not pass for a node."""
    assert expand("r[1-2]n[01-02]x") == ["r1n01x", "r1n02x", "r2n01x", "r2n02x"]
    for wrong in ("n[1-2", "n1]", "n[a-b]"):
        with pytest.raises(ValueError):
            expand(wrong)


def test_the_job_is_read_from_its_environment():
    """Slurm's variables; the address pattern; without Slurm this host alone."""
    job = this_job({"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_ID": "9", "SLURM_RESTART_COUNT": "2"})
    assert (job.nodes, job.job, job.restarts, job.local) == (("n1", "n2"), "9", 2, False)
    assert job.address("n1", "") == "n1" and job.address("n1", "{node}.example.com") == "n1.example.com"
    alone = this_job({})
    assert alone.local and alone.nodes == ("localhost",) and alone.address("localhost", "") == "127.0.0.1"


def test_ports_are_free_unique_and_reserved():
    """A taken port is passed over, no port comes twice, and another launcher of the host gets others."""
    early = Ports("41")
    [first] = early.take(1)
    early.release()
    with socket.socket() as taken:
        taken.bind(("", first))
        taken.listen()
        mine, yours = Ports("41"), Ports("41")
        given_out = [mine.take(2), yours.take(2), mine.take(2)]
        ports = [port for pair in given_out for port in pair]
        assert first not in ports and len(set(ports[:4])) == 4
        assert not set(given_out[0]) & set(given_out[2])
        mine.release(), yours.release()


def test_ranks_of_one_vllm():
    """vLLM's own multi-node mode: HTTP on rank 0 only, --headless on the rest, the runtime's flags last."""
    first, second = (engines.vllm(ORDER, RUNG, PLACE, rank) for rank in (0, 1))
    shared = ["--nnodes", "2", "--node-rank", "1", "--master-addr", "n1", "--master-port", "20001"]
    assert second == [
        "/opt/vllm", "serve", "/models/toy", "--served-model-name", "acme/toy", "--max-model-len", "512",
        "--dtype", "bfloat16", "--tensor-parallel-size", "2", "--pipeline-parallel-size", "1",
        *shared, "--distributed-executor-backend", "mp", "--headless", "--enforce-eager",
    ]  # fmt: skip
    assert "--headless" not in first and first[-5:] == ["--host", "0.0.0.0", "--port", "20000", "--enforce-eager"]


def test_one_node_needs_no_ranks_and_a_strange_dtype_is_auto():
    """Plain `vllm serve` on one node; float8 is no --dtype; a bare command gets its verb."""
    order = replace(ORDER, shape=replace(SHAPE, dtype="float8_e4m3fn", trust_remote_code=True))
    rung = replace(RUNG, argv=("/opt/bin/vllm",))
    argv = engines.vllm(order, rung, Place(("127.0.0.1",), 20000, 20001), 0)
    assert argv[:2] == ["/opt/bin/vllm", "serve"] and "--nnodes" not in argv and "--trust-remote-code" in argv
    assert argv[argv.index("--dtype") + 1] == "auto" and argv[argv.index("--host") + 1] == "127.0.0.1"


def test_data_parallel_ranks():
    """Replicas over nodes: each node its share, later ranks say where theirs begin."""
    order = replace(ORDER, shape=replace(SHAPE, data=4, tensor=1, expert=True))
    second = engines.vllm(order, RUNG, PLACE, 1)
    assert second[second.index("--data-parallel-start-rank") + 1] == "2"
    assert second[second.index("--data-parallel-size-local") + 1] == "2"
    assert "--nnodes" not in second and "--enable-expert-parallel" in second


def test_the_environment_is_offline_and_the_runtime_wins():
    """No proxy, no Hub; placeholders are filled, other braces stay."""
    rung = replace(RUNG, environment={"HF_HUB_OFFLINE": "0"})
    made = engines.environment(rung, {"http_proxy": "http://x", "PATH": "/bin"})
    assert "http_proxy" not in made and made["PATH"] == "/bin"
    assert made["HF_HUB_OFFLINE"] == "0" and made["TRANSFORMERS_OFFLINE"] == "1"
    assert made["VLLM_ENGINE_READY_TIMEOUT_S"] == "60"
    text = engines.fill('{"a": "{node_address}-{rank}"}', rank=1, node="n2", address="n2.x", job="9")
    assert text == '{"a": "n2.x-1"}'


def test_one_srun_for_all_ranks():
    """One step, one rank a node, all of a node's CPUs, and the first to fail takes the others along."""
    argv = srun_argv(["n1", "n2"])
    for word in ("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1", "--nodelist=n1,n2"):
        assert word in argv


def test_progress_never_goes_back():
    """vLLM's lines, in their order and with a second pass over the shards: up to 'waiting for its first answer'."""
    lines = [
        "(Worker pid=9) INFO 11-23 [cpu_model_runner.py:1] Starting to load model /models/toy...",
        "Loading safetensors checkpoint shards:   0% Completed | 0/4 [00:00<?, ?it/s]",
        "Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:00<00:00, 9.1it/s]",
        "Loading safetensors checkpoint shards:  25% Completed | 1/4 [00:00<00:00, 9.1it/s]",
        "INFO 11-23 [default_loader.py:502] Loading weights took 0.05 seconds",
        "INFO 11-23 [core.py:386] init engine (profile, create kv cache, warmup model) took 5.1 s",
        "WARNING LlamaForCausalLM has no vLLM implementation, falling back to Transformers implementation.",
        "INFO:     Application startup complete.",
    ]
    seen, values, notes = Loading(), [], []
    for line in lines:
        seen = advance(seen, line)
        values.append(seen.progress)
        notes.append(seen.note)
    assert values == sorted(values) == [0.1, 0.1, 0.4, 0.4, 0.75, 0.93, 0.93, 0.97]
    assert notes[2] == "Loading weights: shard 2 of 4." and notes[-1] == "Waiting for its first answer."
    assert seen.fallback and seen.phase == "loading"


@given(st.text())
def test_no_log_line_breaks_it(line):
    """Whatever an engine writes."""
    assert 0 <= advance(Loading(), line).progress <= 1


def test_health_counts_tokens_and_misses():
    """Idle is well; running without a token for frozen_s is not; nor are three misses; an answer forgives them."""
    limits = Limits(frozen_s=120, misses=3)
    idle = Health(0).answered(Sample(0, 5, 5), 1000, limits)
    assert idle.since == 1000 and not idle.sick
    stuck = idle.answered(Sample(2, 5, 5), 1100, limits)
    assert not stuck.sick
    assert stuck.answered(Sample(2, 5, 5), 1121, limits).sick == "2 requests run and no token has moved for 121 s."
    assert not stuck.answered(Sample(2, 6, 6), 1121, limits).sick
    twice = idle.missed("timed out", limits).missed("timed out", limits)
    assert not twice.sick and twice.missed("timed out", limits).sick
    assert twice.answered(Sample(0, 5, 5), 1200, limits).misses == 0


def test_metrics_of_several_replicas_are_added():
    """Prometheus' text with comments, labels and two engines."""
    text = (
        "# TYPE vllm:num_requests_running gauge\n"
        'vllm:num_requests_running{engine="0",model_name="a"} 1.0\n'
        'vllm:num_requests_running{engine="1",model_name="a"} 2.0\n'
        'vllm:num_requests_waiting{engine="0",model_name="a"} 1.0\n'
        'vllm:generation_tokens_total{engine="0",model_name="a"} 1.5e+02\n'
        'vllm:generation_tokens_created{engine="0",model_name="a"} 1.7e+09\n'
    )
    assert sample(text) == Sample(4, 150, 150)
    assert sample("") == Sample()


def test_a_log_is_followed_from_where_it_was(tmp_path):
    """Only this attempt's lines; a carriage return ends a line; of a huge log both ends stay."""
    path = tmp_path / "log"
    path.write_text("old\n")
    log = Log(path)
    with path.open("a") as file:
        file.write("a\rb\nhalf")
        file.flush()
        assert log.fresh() == ["a", "b"]
        file.write(" line\n" + "x" * KEEP * 3 + "\nend\n")
        file.flush()
        assert log.fresh()[0] == "half line"
    assert log.text.startswith("a\rb\nhalf line") and log.text.endswith("end\n") and len(log.text) <= 2 * KEEP
    assert log.tail(1) == "end"


def test_what_srun_says_of_ended_ranks():
    """Recorded from 22.05: exit codes, a signal, and lines that are about no rank."""
    text = (
        "srun: cluster configuration lacks support for cpu binding\n"
        "srun: error: toy-02: task 1: Exited with exit code 99\n"
        "srun: launch/slurm: _step_signal: Terminating StepId=4.0\n"
        "slurmstepd-toy-01: error: *** STEP 4.0 ON toy-01 CANCELLED AT 2026-11-23T18:30:50 ***\n"
        "srun: error: toy-01: task 0: Killed\n"
        "srun: error: toy-[01-03]: tasks 0-2: Exited with exit code 1\n"
    )
    assert srun_codes(text) == [99, -9, 1]
