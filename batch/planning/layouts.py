"""Ways to spread a model over nodes and GPUs, the cheapest first, and what each costs on one GPU. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from batch.planning.anatomy import Anatomy

USABLE = 0.92  # share of a GPU's memory that the engine may fill
TYPICAL = 4  # of `concurrency` requests, each fills a quarter of the context on average; one may always fill it all


@dataclass(frozen=True)
class Layout:
    nodes: int
    gpus_per_node: int
    tensor_parallel: int
    pipeline_parallel: int
    data_parallel: int = 1  # copies of everything but the experts, each with a cache of its own
    expert_parallel: bool = False  # experts are dealt to the GPUs whole, instead of cut

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node


@dataclass(frozen=True)
class Demand:
    """What is to be served: bytes of weights, tokens of context, requests at a time."""

    weights: int
    context: int
    concurrency: int


def layouts(max_nodes: int, per_node: int, tensor_across_nodes: bool) -> Iterator[Layout]:
    """Fewest nodes first, then fewest GPUs. Tensor parallel inside a node, pipeline parallel across nodes; where nodes
    are joined fast enough, tensor parallel across them first.

    Nodes come before GPUs: seven nodes with one GPU each would save one GPU of eight, and pay with six slow hops.
    """
    for nodes, gpus in ((n, g) for n in range(1, max_nodes + 1) for g in range(1, per_node + 1)):
        if nodes > 1 and tensor_across_nodes:
            yield Layout(nodes, gpus, nodes * gpus, 1)
        yield Layout(nodes, gpus, gpus, nodes)


def piped_layouts(max_nodes: int, per_node: int) -> Iterator[Layout]:
    """For models whose heads divide badly: pipelines inside a node too. Slower for one request; better than a no."""
    shapes = ((n, g, t) for n in range(1, max_nodes + 1) for g in range(1, per_node + 1) for t in range(1, g))
    usable = sorted((s for s in shapes if s[1] % s[2] == 0), key=lambda s: (s[0], s[1], -s[2]))
    for nodes, gpus, tensor in usable:
        yield Layout(nodes, gpus, tensor, nodes * gpus // tensor)


def with_experts(model: Anatomy, source: Iterable[Layout]) -> Iterator[Layout]:
    """The layouts, each followed by the same with experts dealt whole where the model is a mixture of them."""
    for layout in source:
        yield layout
        if model.experts and layout.gpus > 1:
            yield replace(layout, expert_parallel=True)


def copied_layouts(model: Anatomy, max_nodes: int, per_node: int) -> Iterator[Layout]:
    """For mixtures whose cache can't be cut (MLA): attention copied to each GPU of whole nodes, experts dealt whole.

    Each GPU keeps the cache of its own requests only, where tensor parallel ranks would all keep that of all of them.
    One request is slower for it, so that this comes last.
    """
    if model.experts and not model.kv_heads:
        for nodes in range(1, max_nodes + 1):
            if nodes * per_node > 1:
                yield Layout(nodes, per_node, 1, 1, nodes * per_node, True)


def why_not(model: Anatomy, layout: Layout) -> str:
    """Why the model can't be cut that way, or '' when it can."""
    tensor, pipeline = layout.tensor_parallel, layout.pipeline_parallel
    if model.heads % tensor:
        return f"{model.heads} attention heads can't be divided by {tensor}"
    if model.kv_heads and model.kv_heads % tensor and tensor % model.kv_heads:
        return f"{model.kv_heads} key-value heads can't be divided by {tensor}"
    if layout.expert_parallel and model.experts < layout.gpus:
        return f"{model.experts} experts can't be dealt to {layout.gpus} GPUs"
    for width in (*model.slices, *(() if layout.expert_parallel else model.expert_slices)):
        if width % tensor:
            return f"a layer {width} wide can't be divided by {tensor}"
        if model.block and (width // tensor) % model.block:
            return f"a layer {width} wide, quantized in blocks of {model.block}, can't be divided by {tensor}"
    if model.layers < pipeline:
        return f"{model.layers} layers can't be divided over {pipeline} stages"
    return ""


def memory_per_gpu(model: Anatomy, layout: Layout, demand: Demand, overhead: int) -> int:
    """Bytes on the fullest GPU: its share of the weights, the KV cache, and the engine's own."""
    return overhead + weights_share(model, layout, demand.weights) + kv_share(model, layout, demand)


def weights_share(model: Anatomy, layout: Layout, weights: int) -> int:
    """Of the fullest pipeline stage: its layers (rounded up) and one end's embeddings."""
    stages = layout.pipeline_parallel
    if layout.data_parallel > 1:
        experts = round(weights * model.expert_share)
        return weights - experts + -(-experts // layout.gpus)
    if stages == 1:
        return -(-weights // layout.tensor_parallel)
    table = min(model.vocab * model.hidden * 2, weights // 2)
    body = max(0, weights - table * (1 if model.tied else 2))
    stage = body * -(-model.layers // stages) // model.layers + table
    return -(-stage // layout.tensor_parallel)


def kv_share(model: Anatomy, layout: Layout, demand: Demand) -> int:
    """At least one request of full length; else `concurrency` requests of the usual length."""
    tensor = layout.tensor_parallel
    requests = -(-demand.concurrency // layout.data_parallel)
    usual = requests * model.kv_bytes(max(1, demand.context // TYPICAL), tensor)
    needed = max(model.kv_bytes(demand.context, tensor), usual)
    return -(-needed * -(-model.layers // layout.pipeline_parallel) // model.layers)


def fits(model: Anatomy, layout: Layout, demand: Demand, memory: int, overhead: int) -> bool:
    return memory_per_gpu(model, layout, demand, overhead) <= int(memory * USABLE)
