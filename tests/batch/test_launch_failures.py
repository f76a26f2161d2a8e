"""What engines wrote when they failed, and what we make of it."""

import pytest

from batch.payloads.launch.failures import RANK, TABLE, Failure, Written, classify, joined, killed_by
from tests.batch.launching import LOGS


def of(text: str, code: int | None = 1, **more: object) -> Failure:
    return classify(code, [Written("0-vllm-rank0.log", text, text[-2000:])], **more)


@pytest.mark.parametrize(
    ("file", "kind", "sentence"),
    [
        ("vllm-architecture", "architecture", "It doesn't know the architecture GPTNeoForCausalLM."),
        ("vllm-no-weights", "files", "The model's folder holds no weights."),
        ("vllm-port", "port", "A port was taken by somebody else between the look and the start."),
        ("vllm-flags", "flags", "It doesn't understand its command line: unrecognized arguments: --no-such-flag 3."),
        ("vllm-context", "flags", "999999 tokens of context are more than the 1024 the model was made for."),
        ("cuda-memory", "memory", "The GPU's memory ran out: 224.00 MiB more were needed."),
    ],
)
def test_recorded_logs(file, kind, sentence):
    """Whole logs of vLLM 0.32 (the last: CUDA's words, which no machine without a GPU says)."""
    failure = of((LOGS / f"{file}.txt").read_text())
    assert (failure.kind, failure.sentence) == (kind, sentence)
    assert failure.next_step and failure.log == "0-vllm-rank0.log"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (
            "ValueError: The checkpoint you are trying to load has model type `toy_next` but Transformers does not "
            "recognize this architecture.",
            "architecture",
        ),
        (
            "ValueError: To serve at least one request with the model's max seq len (32768), (4.00 GiB KV cache is "
            "needed, which is larger than the available KV cache memory (1.52 GiB). Based on the available memory",
            "memory",
        ),
        ("ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`", "memory"),
        (
            "ValueError: Free memory on device cuda:0 (20.11/79.10 GiB) on startup is less than desired GPU memory "
            "utilization (0.92, 72.77 GiB).",
            "memory",
        ),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=12.0. Some of the step tasks have been OOM", "memory"),
        ("The server socket has failed to listen on any local network address. port: 20001, useIpv6: false, "
         "code: -98, name: EADDRINUSE, message: address already in use", "port"),
        ("[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use", "port"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/models/x/model-00002-of-00003.safetensors'",
         "files"),
        ("safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata", "files"),
        ("ValueError: The repository x contains custom code which must be executed to correctly load the model.",
         "remote-code"),
        ("RuntimeError: CUDA error: no kernel image is available for execution on the device", "device"),
        ("RuntimeError: The NVIDIA driver on your system is too old (found version 12020).", "device"),
        ("RuntimeError: NCCL error: unhandled cuda error (run with NCCL_DEBUG=INFO for details)", "device"),
        ("RuntimeError: No CUDA GPUs are available", "device"),
        ("RuntimeError: Failed to infer device type, please set the environment variable", "device"),
        ("torch.distributed.DistNetworkError: The client socket has timed out after 600000ms", "peers"),
        ("srun: error: Unable to create step for job 12: Requested nodes are busy", "peers"),
        ("dayzero: vllm can't be started: No such file or directory", "program"),
        ("Error: No such option: --no-such", "flags"),
    ],
)  # fmt: skip
def test_known_words(line, kind):
    """One telling line among others is found, whatever the exit status."""
    failure = of(
        f"INFO one\n{line}\nINFO two\nRuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    assert failure.kind == kind
    assert line[:60] in failure.tail


@pytest.mark.parametrize(
    "line",
    [
        "WARNING Found ulimit of 20000. This can cause fd limit errors like `OSError: [Errno 24] Too many open files`.",
        "WARNING Address already in use. Retrying with a new port.",
        "INFO Initializing a V1 LLM engine (v0.32.0) with config: trust_remote_code=True, dtype=torch.bfloat16",
        "dayzero: rank 0 on n1, step 0: vllm serve /models/x --trust-remote-code --port 20000",
    ],
)
def test_harmless_lines_are_no_reason(line):
    """Words that a healthy start writes too must not be taken for the cause."""
    assert of(f"{line}\n", code=1).kind == "unknown"


def test_the_cause_wins_over_what_it_causes():
    """Rank 1 ran out of memory; rank 0 only lost its peer, and is read first."""
    texts = [
        Written("rank0", "torch.distributed.DistNetworkError: Connection closed by peer", ""),
        Written("rank1", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", ""),
    ]
    failure = classify(1, texts)
    assert failure.kind == "memory" and failure.log == "rank1"


def test_endings_without_words():
    """A signal, a deadline, an exception nobody knows, nothing at all."""
    assert of("", code=-9).kind == of("", code=137).kind == "killed"
    assert of("x", code=None, timed_out_s=60).sentence == "It was not ready after 60 s."
    assert of("(Worker pid=3) ERROR 11-23 18:09:43 [m.py:9] KeyError: 'rope'\n").sentence == (
        "It ended with KeyError: 'rope'."
    )
    assert of("", code=3).sentence == "It ended with exit status 3 without saying why."
    assert killed_by(0) is None and killed_by(143) == 15 and killed_by(None) is None


def test_a_timeout_still_reads_the_log():
    """A rank that hangs after an error: the error is the reason, not the deadline."""
    assert of("torch.OutOfMemoryError: CUDA out of memory", code=None, timed_out_s=9).kind == "memory"


def test_every_kind_has_a_rank():
    """`joined` must be able to order whatever the table can say."""
    assert {row.kind for row in TABLE} <= set(RANK)


def test_one_engine_is_not_called_a_ladder():
    """A single failure reads as one; retryable when any rung was."""
    one = of("", code=-9)
    assert joined("acme/toy", [("vllm", one)]).sentence == "vllm can't serve acme/toy: It was killed by signal 9."
    other = of("Error: No such option: --x")
    assert joined("acme/toy", [("a", other), ("b", one)]).retryable is True
    assert joined("acme/toy", [("a", other)]).retryable is False
