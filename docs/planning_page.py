"""planning.md: how a plan is found, and our plans beside those that people have published."""

from tests.batch.published import FEWER, MORE, NO, SAME, Compared, table

ABOUT = """\
`dayzero plan org/model` shows the plan, why it is so, other ways to serve the model with their cost in GPUs, and the
script. It changes nothing.

## How a plan is found

1. What the weights are: bytes and precision from the repository itself (config, safetensors index, quantization), never
   from its name.
2. What one request keeps: the cache of every layer that has one, at the wanted context; grouped heads are cut by tensor
   parallelism, a latent cache (MLA) is kept whole by each rank, windows stop growing, state-space layers keep none.
3. What one GPU holds: its share of the weights (a pipeline stage has one end's embeddings), the cache of
   `serving.concurrency` requests of a quarter of the context, or of one that fills it, and `overhead` of its GPU type;
   together at most 92 % of its memory.
4. The fewest nodes, then the fewest GPUs, then the smaller GPU. Tensor parallel inside a node, pipeline parallel across
   nodes; sizes divide heads, layers, and the blocks of quantized weights.
5. Where the experts of a mixture can't be cut that way, they are dealt to the GPUs whole (expert parallel). Where the
   cache can't be cut (MLA) and many requests are wanted, attention is copied to every GPU (data parallel), so that each
   keeps the cache of its own requests only; that is taken when it needs fewer nodes, else it is named beside the plan.
6. When nothing fits: half the context, down to 2048 tokens; then a refusal that says what is missing.

## Beside published deployments

From public recipes and Slurm sites, each on the GPUs, node sizes and context that they name, one request at a time.
`t`, `p`, `d`: tensor, pipeline, data parallel."""


def planning(notice: str) -> str:
    found = table()
    numbers = {word: sum(one.word == word for one in found) for word in (SAME, FEWER, MORE, NO)}
    models = len({one.row["model"] for one in found})
    said = (
        f"{len(found)} deployments of {models} models: as many GPUs in {numbers[SAME]}, fewer in {numbers[FEWER]}, "
        f"more in {numbers[MORE]}, refused {numbers[NO]}. Those with fewer leave out what their authors keep free "
        "for more requests at once."
    )
    head = ["| model | GPU | context | published | ours | on each GPU, GB |", "| --- | --- | --- | --- | --- | --- |"]
    return "\n\n".join(["# Planning", notice, ABOUT, said, "\n".join(head + [_line(one) for one in found])]) + "\n"


def _line(one: Compared) -> str:
    row, ours = one.row, one.ours
    gpu = f"{row['gpu']} {row['memory_gb']:g} GB"
    published = _spread(row["nodes"], row["gpus"] // row["nodes"], row["tensor"], row["pipeline"], row["data"])
    context = str(row["context"] or "")
    if ours is None:
        return f"| {row['model']} | {gpu} | {context} | {published} | refused: {one.why} | |"
    plan = _spread(ours.nodes, ours.gpus_per_node, ours.tensor_parallel, ours.pipeline_parallel, ours.data_parallel)
    used = f"{ours.memory_per_gpu / 1e9:.0f} of {ours.gpu_memory / 1e9:.0f}"
    return f"| {row['model']} | {gpu} | {context} | {published} | {plan} | {used} |"


def _spread(nodes: int, gpus: int, tensor: int, pipeline: int, data: int) -> str:
    return f"{nodes} × {gpus}, t{tensor} p{pipeline}" + (f" d{data}" if data and data > 1 else "")
