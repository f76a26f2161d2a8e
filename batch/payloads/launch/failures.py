"""Why an engine didn't come up, in one plain sentence, from how it ended and what it wrote. Pure.

The first row of the table that matches anywhere in the logs wins, so causes stand above what they cause: a rank that
loses its peer always complains of the network, and the last exception of vLLM's is always 'initialization failed'.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

ARCHITECTURE, MEMORY, PORT, FILES, FLAGS, DEVICE = "architecture memory port files flags device".split()
REMOTE_CODE, PROGRAM, PEERS, KILLED, TIMEOUT, UNKNOWN = "remote-code program peers killed timeout unknown".split()
FROZEN = "frozen"  # of an engine that was up; no log tells of it


@dataclass(frozen=True)
class Failure:
    """`log` and `tail` show where it was read; `next_step` is what a person can do."""

    kind: str
    sentence: str
    retryable: bool
    next_step: str
    log: str = ""
    tail: str = ""


@dataclass(frozen=True)
class Written:
    """What one process of the attempt wrote: a log's name, its text, its last lines."""

    log: str
    text: str
    tail: str


@dataclass(frozen=True)
class Row:
    """`sentence` may hold the pattern's named groups."""

    kind: str
    pattern: re.Pattern
    sentence: str
    next_step: str
    retryable: bool = False


def _row(kind: str, pattern: str, sentence: str, next_step: str, retryable: bool = False) -> Row:
    return Row(kind, re.compile(pattern), sentence, next_step, retryable)


NEWER = "A newer engine may know it: add one to the ladder, or wait for its release."
SMALLER = "Plan it with more GPUs, a shorter context or a quantized copy."
INSTALL = "Mend the runtime's command in the settings."
NODE = "Have an administrator look at that node's GPUs and driver, or exclude it."
WEIGHTS = "Check the model's folder; caching it again repairs it."

TABLE: tuple[Row, ...] = (
    _row(
        PROGRAM,
        r"dayzero: (?P<what>\S+) can't be started: (?P<said>[^\n]+)",
        "Its program {what} can't be started ({said}).",
        INSTALL,
    ),
    _row(
        FLAGS,
        r"error: (?P<said>(?:unrecognized arguments|argument |invalid choice|ambiguous option)[^\n]*)",
        "It doesn't understand its command line: {said}.",
        "Mend the runtime's args in the settings.",
    ),
    _row(
        FLAGS,
        r"(?P<said>No such option:? [^\n│]*|Got unexpected extra argument[^\n│]*|Invalid value for [^\n│]*)",
        "It doesn't understand its command line: {said}.",
        "Mend the runtime's args in the settings.",
    ),
    _row(
        FLAGS,
        r"User-specified max_model_len \((?P<asked>\d+)\) is greater than the derived max_model_len "
        r"\((?:max_position_embeddings=)?(?P<most>\d+)",
        "{asked} tokens of context are more than the {most} the model was made for.",
        "Plan it with a shorter context.",
    ),
    _row(
        REMOTE_CODE,
        r"Please (?:pass|set)[^\n]{0,60}trust_remote_code=True|contains custom code which must be executed|"
        r"requires you to execute the (?:configuration|modeling) file",
        "The model needs code from its own repository, which isn't run here.",
        "Read that code; if you trust it, plan the model with trust_remote_code.",
    ),
    _row(
        ARCHITECTURE,
        r"Model architectures? \[?'?(?P<what>\w+)'?[^\n]{0,80}?(?:are not supported|is not supported|failed to be)",
        "It doesn't know the architecture {what}.",
        NEWER,
    ),
    _row(
        ARCHITECTURE,
        r"model type `?(?P<what>[\w.-]+)`? but Transformers does not recognize",
        "It doesn't know the model type {what}.",
        NEWER,
    ),
    _row(
        ARCHITECTURE,
        r"(?P<what>\w+) has no vLLM implementation and the Transformers implementation is not compatible",
        "It doesn't know the architecture {what}, and can't run it through Transformers.",
        NEWER,
    ),
    _row(
        ARCHITECTURE,
        r"Unrecognized (?:model in|configuration class) (?P<what>\S+)",
        "It doesn't recognize the model's configuration.",
        NEWER,
    ),
    _row(
        MEMORY,
        r"(?:CUDA|HIP) out of memory\.? Tried to allocate (?P<what>[\d.]+ \w+)",
        "The GPU's memory ran out: {what} more were needed.",
        SMALLER,
    ),
    _row(
        MEMORY,
        r"OutOfMemoryError|(?:CUDA|HIP) out of memory|CUBLAS_STATUS_ALLOC_FAILED",
        "The GPU's memory ran out.",
        SMALLER,
    ),
    _row(
        MEMORY,
        r"max seq len \((?P<tokens>\d+)\),? \(?(?P<needs>[\d.]+ GiB) KV cache is needed, which is larger than the "
        r"available KV cache memory \((?P<has>[\d.]+ GiB)\)",
        "One request of {tokens} tokens needs {needs} of KV cache, and {has} are left beside the weights.",
        SMALLER,
    ),
    _row(MEMORY, r"No available memory for the cache blocks", "The weights leave no memory for the KV cache.", SMALLER),
    _row(
        MEMORY,
        r"Free memory on device \S+ \((?P<free>[\d.]+)/(?P<all>[\d.]+) GiB\)",
        "Only {free} of {all} GiB of a GPU's memory are free: somebody else's process is on it.",
        "Find that process on the node, or exclude the node.",
        retryable=True,
    ),
    _row(
        MEMORY,
        r"oom[-_]kill|Out Of Memory|DefaultCPUAllocator: (?:can't|not enough)|Cannot allocate memory|MemoryError",
        "The node's own memory ran out.",
        "Ask for more memory (--mem), or another way of loading the weights.",
    ),
    _row(
        PORT,
        r"(?:Errno 98|error while attempting to bind|EADDRINUSE)[^\n]*",
        "A port was taken by somebody else between the look and the start.",
        "It is tried again with other ports.",
        retryable=True,
    ),
    _row(
        FILES,
        r"(?:No such file or directory|not a regular file|cannot find the file)[^\n]{0,20}['\"](?P<what>[^'\"\n]+"
        r"\.(?:safetensors|json|bin|model|jinja|gguf))['\"]",
        "A file of the model is missing: {what}.",
        WEIGHTS,
    ),
    _row(
        FILES,
        r"Cannot find any model weights|no file named [^\n]*(?:safetensors|pytorch_model)",
        "The model's folder holds no weights.",
        WEIGHTS,
    ),
    _row(
        FILES,
        r"does not appear to have (?:a|any) files? named (?P<what>[\w.-]+)|Can't load (?P<other>\w+) for",
        "The model's folder lacks what the engine wants to read.",
        WEIGHTS,
    ),
    _row(
        FILES,
        r"SafetensorError|InvalidHeaderDeserialization|Error while deserializing header|MetadataIncompleteBuffer",
        "A weights file is damaged or cut short.",
        WEIGHTS,
    ),
    _row(
        DEVICE,
        r"no kernel image is available",
        "The engine was not built for this GPU.",
        "Choose a runtime built for it.",
    ),
    _row(
        DEVICE,
        r"driver (?:version is insufficient|on your system is too old)|Found no NVIDIA driver|"
        r"libcuda\.so[.\d]*: cannot open",
        "The node's NVIDIA driver doesn't fit the engine.",
        NODE,
        retryable=True,
    ),
    _row(
        DEVICE,
        r"No CUDA GPUs are available|no CUDA-capable device|Failed to infer device type|"
        r"device >= 0 && device < num_gpus|invalid device ordinal",
        "It finds fewer GPUs on the node than it was told to use.",
        "Check the job's --gres and the node's GPUs.",
        retryable=True,
    ),
    _row(
        DEVICE,
        r"CUDA error: (?P<said>[^\n]+)|NCCL error:? (?P<other>[^\n]+)|uncorrectable ECC|NVRM: Xid",
        "A GPU or the link between GPUs failed.",
        NODE,
        retryable=True,
    ),
    _row(
        PEERS,
        r"DistNetworkError|DistStoreError|Connection closed by peer|timed out after \d+ seconds waiting for clients|"
        r"failed to connect to the master|Gloo connectFullMesh failed",
        "Its ranks could not reach each other.",
        "Check the network between the nodes, and GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME in the runtime.",
        retryable=True,
    ),
    _row(
        PEERS,
        r"srun: error: (?P<said>[^\n]*(?:Unable to create step|Communication connection failure|Node failure|"
        r"Timed out waiting for job step)[^\n]*)",
        "Slurm could not start it on every node: {said}.",
        "It is worth another try.",
        retryable=True,
    ),
)

_EXCEPTION = re.compile(r"^(?:\([^)]*\) )?(?:ERROR [^\]]*\] )?((?:[A-Za-z_][\w.]*)?(?:Error|Exception)\b:? ?.*)$", re.M)
_HOLLOW = re.compile(r"Engine core initialization failed|EngineDeadError|WorkerProc initialization failed")


def classify(code: int | None, written: Sequence[Written], timed_out_s: float | None = None) -> Failure:
    """`code`: exit status, negative for a signal, None while it lived; `timed_out_s`: it was given that long."""
    for row in TABLE:
        for one in written:
            if match := row.pattern.search(one.text):
                return _told(row, match, one)
    last = written[0] if written else Written("", "", "")
    if timed_out_s is not None:
        sentence = f"It was not ready after {timed_out_s:.0f} s."
        advice = "Raise start_timeout_s of the runtime if its log was still moving."
        return Failure(TIMEOUT, sentence, True, advice, last.log, last.tail)
    for one in written:
        said = [text for text in _EXCEPTION.findall(one.text) if not _HOLLOW.search(text)]
        if said:
            sentence = f"It ended with {_short(said[-1])}."
            return Failure(UNKNOWN, sentence, False, f"Look into {one.log}.", one.log, one.tail)
    if number := killed_by(code):
        return Failure(
            KILLED, f"It was killed by signal {number}.", True, "Find out who did, or try again.", last.log, last.tail
        )
    how = "ended" if code is None else f"ended with exit status {code}"
    return Failure(UNKNOWN, f"It {how} without saying why.", False, f"Look into {last.log}.", last.log, last.tail)


def killed_by(code: int | None) -> int | None:
    """The signal behind an exit status: subprocess says -9, a shell and srun say 137."""
    if code is None:
        return None
    if code < 0:
        return -code
    return code - 128 if 128 < code < 160 else None


def _told(row: Row, match: re.Match, one: Written) -> Failure:
    words = {key: _short(value or "") for key, value in match.groupdict().items()}
    return Failure(row.kind, row.sentence.format(**words), row.retryable, row.next_step, one.log, _around(match, one))


def _short(text: str, most: int = 200) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= most else text[: most - 1] + "…"


def _around(match: re.Match, one: Written) -> str:
    """The last lines, and above them the telling one when it isn't among them."""
    start = one.text.rfind("\n", 0, match.start()) + 1
    end = one.text.find("\n", match.end())
    line = one.text[start : end if end >= 0 else len(one.text)][:500].strip()
    return one.tail if line in one.tail else f"{line}\n[...]\n{one.tail}"


RANK = (MEMORY, FILES, REMOTE_CODE, DEVICE, FLAGS, PROGRAM, PEERS, ARCHITECTURE, PORT, KILLED, TIMEOUT, FROZEN, UNKNOWN)
"""What a person should hear of first when several engines failed."""


def joined(model: str, tried: Sequence[tuple[str, Failure]]) -> Failure:
    """One failure for the whole ladder: what was tried, why each failed, the next step of the most telling."""
    telling = min((failure for _, failure in tried), key=lambda failure: RANK.index(failure.kind))
    if len(tried) == 1:
        name, failure = tried[0]
        sentence = f"{name} can't serve {model}: {failure.sentence}"
    else:
        each = " ".join(f"{name}: {failure.sentence}" for name, failure in tried)
        sentence = f"None of {len(tried)} engines could serve {model}. {each}"
    retryable = any(failure.retryable for _, failure in tried)
    return Failure(telling.kind, sentence, retryable, telling.next_step, telling.log, telling.tail)
