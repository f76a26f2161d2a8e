"""Other ways to serve a model than the planned one, and what each would cost or bring. Pure."""

from collections.abc import Mapping

from batch.planning.anatomy import anatomy
from batch.planning.layouts import Demand, Layout, fits, why_not
from batch.planning.planner import Choice, checked, families, gpu_types, price, spread
from batch.planning.sentences import count
from lifecycle.models import ModelFacts
from lifecycle.plans import Plan
from lifecycle.settings import Settings

MOST = 5


def alternatives(
    facts: ModelFacts, settings: Settings, wishes: Mapping[str, object] | None, made: Plan
) -> tuple[str, ...]:
    """With the same context, the fewest GPUs first: one for each GPU type and each way to spread the model."""
    wish = checked(wishes or {}, settings)
    model = anatomy(facts.config)
    demand = Demand(facts.weights_bytes, made.context, settings.serving.concurrency)
    found: dict[tuple, Choice] = {}
    for name, gpu in gpu_types(settings, wish):
        for family in families(model, settings, gpu, wish):
            for layout in family:
                kind = (name, layout.pipeline_parallel > 1, layout.data_parallel > 1)
                if kind in found or _is_planned(layout, name, made) or why_not(model, layout):
                    continue
                if fits(model, layout, demand, gpu.memory, gpu.overhead):
                    found[kind] = Choice(layout, name, gpu, made.context)
    return tuple(_sentence(choice, made) for choice in sorted(found.values(), key=_gpus_first)[:MOST])


def _gpus_first(choice: Choice) -> tuple:
    return choice.layout.gpus, *price(choice)


def _is_planned(layout: Layout, gpu_type: str, made: Plan) -> bool:
    """The same, or the same with its experts spread otherwise."""
    ours = (gpu_type, layout.nodes, layout.gpus_per_node, layout.tensor_parallel, layout.data_parallel)
    return ours == (made.gpu_type, made.nodes, made.gpus_per_node, made.tensor_parallel, made.data_parallel)


def _sentence(choice: Choice, made: Plan) -> str:
    layout = choice.layout
    more = layout.gpus - made.gpus
    cost = "as many" if not more else f"{abs(more)} {'more' if more > 0 else 'fewer'}"
    how = f"tensor parallel {layout.tensor_parallel}, pipeline parallel {layout.pipeline_parallel}"
    if layout.data_parallel > 1:
        how = f"data parallel {layout.data_parallel}: {layout.data_parallel} times the room for requests, each slower"
    return f"{spread(layout, choice.gpu_type)} ({count(layout.gpus, 'GPU')}, {cost}): {how}."
