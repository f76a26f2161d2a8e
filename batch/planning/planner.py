"""facts + settings → Plan: the fewest nodes, then GPUs, that serve the model; less context before a refusal. Pure."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain

from batch.planning.anatomy import Anatomy, anatomy
from batch.planning.layouts import (
    USABLE,
    Demand,
    Layout,
    copied_layouts,
    fits,
    layouts,
    memory_per_gpu,
    piped_layouts,
    weights_share,
    why_not,
    with_experts,
)
from batch.planning.sentences import bytes_text, count
from batch.rates import ASSUMED_LOAD, ASSUMED_START_S
from lifecycle.errors import Refused
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan, Rung
from lifecycle.sections.cluster import Gpu
from lifecycle.settings import Settings

LEAST_CONTEXT = 2048  # tokens; below this a chat isn't one
EMBEDDING_TAGS = frozenset({"feature-extraction", "sentence-similarity", "text-ranking", "fill-mask"})
WISHES = frozenset({"nodes", "gpus", "context", "engine", "hours", "gpu_type", "allow_pickle", "trust_remote_code"})


@dataclass(frozen=True)
class Choice:
    layout: Layout
    gpu_type: str
    gpu: Gpu
    context: int


def plan(facts: ModelFacts, settings: Settings, wishes: Mapping[str, object] | None = None) -> Plan:
    """The best plan. `wishes`: nodes, gpus (per node), context, engine, hours, gpu_type, allow_pickle,
    trust_remote_code. Raises Refused: what is missing, in one sentence."""
    wish = checked(wishes or {}, settings)
    _refuse_unservable(facts, bool(wish.get("allow_pickle")))
    model = anatomy(facts.config)
    wanted = _context(facts, settings, wish)
    choice = _choose(model, facts, settings, wish, wanted)
    layout, gpu = choice.layout, choice.gpu
    demand = Demand(facts.weights_bytes, choice.context, settings.serving.concurrency)
    used = memory_per_gpu(model, layout, demand, gpu.overhead)
    cluster = settings.cluster
    return Plan(
        model=facts.repo,
        revision=facts.revision,
        partition=cluster.partition,
        account=cluster.account,
        qos=cluster.qos,
        gpu_type=choice.gpu_type,
        nodes=layout.nodes,
        gpus_per_node=layout.gpus_per_node,
        tensor_parallel=layout.tensor_parallel,
        pipeline_parallel=layout.pipeline_parallel,
        data_parallel=layout.data_parallel,
        expert_parallel=layout.expert_parallel,
        dtype=facts.dtype or "bfloat16",
        quantization=facts.quantization,
        context=choice.context,
        weights_bytes=facts.weights_bytes,
        memory_per_gpu=used,
        gpu_memory=gpu.memory,
        walltime_s=_walltime(settings, wish),
        lasts_s=float(str(wish["hours"])) * 3600 if "hours" in wish else None,
        ladder=ladder(settings, wish.get("engine")),
        trust_remote_code=bool(wish.get("trust_remote_code")),
        allow_pickle=bool(wish.get("allow_pickle")),
        expected_load_s=round(ASSUMED_START_S + facts.weights_bytes / layout.nodes / ASSUMED_LOAD, 1),
        reasons=tuple(_reasons(model, facts, settings, choice, wanted, used)),
    )


def ladder(settings: Settings, engine: object = None) -> tuple[Rung, ...]:
    """The settings' runtimes in their order; with `engine`, only that engine or that runtime. Raises Refused."""
    rungs = []
    for place, name in enumerate(settings.serving.ladder):
        runtime = settings.runtimes.get(name)
        if runtime is None:
            raise Refused(f"There is no runtime {name!r} to serve with.", f"Add [runtimes.{name}] to the settings.")
        if engine is None or engine in (name, runtime.engine):
            why = "the first choice" if place == 0 else "when the one before can't load the model"
            rungs.append(Rung(engine=runtime.engine, runtime=name, why=why))
    if not rungs:
        raise Refused(f"No runtime has the engine {engine!r}.", f"Choose one of {', '.join(settings.serving.ladder)}.")
    return tuple(rungs)


def _refuse_unservable(facts: ModelFacts, allow_pickle: bool) -> None:
    if facts.missing or not facts.complete:
        named = ", ".join(facts.missing[:2]) + (", ..." if len(facts.missing) > 2 else "")
        raise Refused(
            f"{facts.repo} is not complete: {count(len(facts.missing), 'file')} of its weights ({named}) missing.",
            "Its files are probably still being uploaded; try again later.",
        )
    if facts.weights_bytes <= 0:
        raise Refused(f"{facts.repo} has no weights to serve.", "Choose another repository.")
    if not facts.has_safetensors and not allow_pickle:
        raise Refused(
            f"{facts.repo} has its weights only as pickle files, and reading those runs code from the Hub.",
            "Look for a safetensors copy.",
        )
    if facts.pipeline_tag in EMBEDDING_TAGS:
        raise Refused(
            f"{facts.repo} is a {facts.pipeline_tag} model: it doesn't answer in text, so nothing here can test it.",
            "Choose a chat model.",
        )


def _choose(model: Anatomy, facts: ModelFacts, settings: Settings, wish: Mapping[str, object], context: int) -> Choice:
    if not settings.cluster.gpus:
        raise Refused("The settings name no GPU type.", "Add [cluster.gpus.<name>] with its memory to the settings.")
    for tokens in _contexts(context, shrink="context" not in wish):
        if found := _cheapest(model, facts.weights_bytes, settings, wish, tokens):
            return found
    raise _refusal(model, facts, settings, wish, context)


def _cheapest(
    model: Anatomy, weights: int, settings: Settings, wish: Mapping[str, object], context: int
) -> Choice | None:
    """The choice with the fewest nodes, then GPUs; of equals, the GPU type with the least memory."""
    demand = Demand(weights, context, settings.serving.concurrency)
    found: list[Choice] = []
    for name, gpu in gpu_types(settings, wish):
        for family in families(model, settings, gpu, wish):
            can = (one for one in family if not why_not(model, one))
            first = next((one for one in can if fits(model, one, demand, gpu.memory, gpu.overhead)), None)
            found += [Choice(first, name, gpu, context)] if first else []
    return min(found, key=price, default=None)


def price(choice: Choice) -> tuple:
    """What is cheaper comes first; of equals, what is cut, and the smaller GPU."""
    layout = choice.layout
    return layout.nodes, layout.gpus, layout.data_parallel > 1, choice.gpu.memory, choice.gpu_type


def families(
    model: Anatomy, settings: Settings, gpu: Gpu, wish: Mapping[str, object]
) -> tuple[Iterator[Layout], Iterator[Layout]]:
    """Ways to cut the model, and ways to copy what is not experts; each the cheapest first."""
    most, across = settings.cluster.guards.max_nodes, settings.cluster.tensor_parallel_across_nodes
    cut = chain(layouts(most, gpu.per_node, across), piped_layouts(most, gpu.per_node))
    return (
        filter(partial(_is_wished, wish), with_experts(model, cut)),
        filter(partial(_is_wished, wish), copied_layouts(model, most, gpu.per_node)),
    )


def _is_wished(wish: Mapping[str, object], layout: Layout) -> bool:
    return layout.nodes == wish.get("nodes", layout.nodes) and layout.gpus_per_node == wish.get(
        "gpus", layout.gpus_per_node
    )


def gpu_types(settings: Settings, wish: Mapping[str, object]) -> list[tuple[str, Gpu]]:
    gpus = settings.cluster.gpus
    asked = wish.get("gpu_type")
    if asked is None:
        return list(gpus.items())
    if asked not in gpus:
        raise Refused(f"There is no GPU type {asked!r}.", f"Choose one of {', '.join(gpus)}.")
    return [(str(asked), gpus[str(asked)])]


def _contexts(wanted: int, shrink: bool) -> Iterator[int]:
    yield wanted
    while shrink and wanted > LEAST_CONTEXT:
        wanted = max(LEAST_CONTEXT, wanted // 2)
        yield wanted


def _context(facts: ModelFacts, settings: Settings, wish: Mapping[str, object]) -> int:
    asked = int(str(wish.get("context", settings.serving.context)))
    if facts.context and asked > facts.context:
        if "context" in wish:
            raise Refused(
                f"{facts.repo} was made for {facts.context} tokens of context, not {asked}.",
                f"Ask for {facts.context} or less.",
            )
        return facts.context
    return asked


def _walltime(settings: Settings, wish: Mapping[str, object]) -> int:
    """Of one job, in seconds: a deployment that is to last longer has one after the other."""
    most = settings.cluster.guards.walltime_hours
    return int(min(float(str(wish.get("hours", most))), most) * 3600)


def checked(wishes: Mapping[str, object], settings: Settings) -> dict[str, object]:
    wish = {key: value for key, value in wishes.items() if value is not None}
    if strange := sorted(set(wish) - WISHES):
        raise Refused(f"A plan has no {strange[0]!r}.", f"Possible: {', '.join(sorted(WISHES))}.")
    for key in ("nodes", "gpus", "context", "hours"):
        try:
            value = float(str(wish.get(key, 1)))
        except ValueError:
            value = math.nan
        whole = key == "hours" or value == int(value) if math.isfinite(value) else False
        if not (whole and value > 0):
            raise Refused(f"{key} can't be {wish[key]!r}.", "Give a number above zero.")
        if key in wish and key != "hours":
            wish[key] = int(value)
    nodes, most = wish.get("nodes", 1), settings.cluster.guards.max_nodes
    if isinstance(nodes, int) and nodes > most:
        raise Refused(f"{count(nodes, 'node')} is above the limit of {most}.", "Ask for fewer nodes.")
    return wish


def _refusal(
    model: Anatomy, facts: ModelFacts, settings: Settings, wish: Mapping[str, object], context: int
) -> Refused:
    """Why nothing fits: the largest layout that can be cut, and what it lacks."""
    least = min(LEAST_CONTEXT, context) if "context" not in wish else context
    demand = Demand(facts.weights_bytes, least, settings.serving.concurrency)
    best: tuple[int, Layout, str, Gpu] | None = None
    obstacle = ""
    for name, gpu in gpu_types(settings, wish):
        for layout in chain(*families(model, settings, gpu, wish)):
            if reason := why_not(model, layout):
                obstacle = reason
                continue
            short = memory_per_gpu(model, layout, demand, gpu.overhead) - gpu.memory
            if best is None or short < best[0]:
                best = (short, layout, name, gpu)
    if best is None:
        return Refused(f"{facts.repo} can't be cut for these GPUs: {obstacle}.", "Ask for other numbers of GPUs.")
    _, layout, name, gpu = best
    needs = memory_per_gpu(model, layout, demand, gpu.overhead)
    return Refused(
        f"{facts.repo} doesn't fit: even on {spread(layout, name)} with {least} tokens of context each GPU would need "
        f"{bytes_text(needs)} and has {bytes_text(gpu.memory * USABLE)} to give.",
        f"Allow more than {count(settings.cluster.guards.max_nodes, 'node')}, larger GPUs, or a quantized copy.",
    )


def spread(layout: Layout, gpu_type: str) -> str:
    return f"{count(layout.nodes, 'node')} × {layout.gpus_per_node} {gpu_type}"


def _reasons(
    model: Anatomy, facts: ModelFacts, settings: Settings, choice: Choice, wanted: int, used: int
) -> Iterator[str]:
    layout = choice.layout
    share = weights_share(model, layout, facts.weights_bytes)
    weights = f"{bytes_text(facts.weights_bytes)} of {facts.dtype or 'bfloat16'} weights"
    yield (
        f"{weights} on {spread(layout, choice.gpu_type)}: about {bytes_text(used)} of {bytes_text(choice.gpu.memory)} "
        f"on each GPU, {bytes_text(share)} of it weights."
    )
    if layout.tensor_parallel > 1:
        yield f"Each layer is cut over {layout.tensor_parallel} GPUs (tensor parallel)."
    if layout.pipeline_parallel > 1:
        yield f"The layers are dealt over {layout.pipeline_parallel} stages (pipeline parallel)."
    if layout.data_parallel > 1:
        yield f"Attention is copied to {layout.data_parallel} GPUs, each with the cache of its own requests."
    if layout.expert_parallel:
        yield f"Its {model.experts} experts are dealt to the GPUs whole (expert parallel)."
    if choice.context < wanted:
        yield f"Context is {choice.context} tokens instead of {wanted}: more doesn't fit within the limits."
    elif facts.context and facts.context < settings.serving.context:
        yield f"Context is {choice.context} tokens: the model was made for no more."
    if facts.needs_remote_code:
        yield "Its repository brings code of its own, which is not run; the engine has to know the architecture itself."
