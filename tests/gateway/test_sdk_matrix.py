"""Every client against every kind of backend, feature by feature: what docs/dialects.md says is what happens.

DAYZERO_WRITE_DIALECTS=1 writes what was measured into the table instead of comparing.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from lab.models import shelf
from lifecycle.runfolder import model_folder
from tests.engines import ENGINE, ROOT, TRANSFORMERS, VLLM, VLLM_TOOLS, needs_engine, serving
from tests.gateway.apis import TEXT, AnthropicApi, Api, OpenAIApi
from tests.gateway.clients.place import Place
from tests.gateway.clients.table import PROBES, outcome
from tests.gateway.conftest import World
from tests.gateway.world import new_key
from tests.waiting import until

PAGE = ROOT / "docs" / "dialects.md"
BACKENDS = ("vLLM", "Transformers", "OpenAI's API", "Anthropic's API")
BREAD = "Explain in one sentence how bread is made."
BAKED = "Flour, water, salt and yeast are kneaded into a dough that rises and is then baked."
LONG = {"ignore_eos": True, "max_tokens": 400}

Table = dict[tuple[str, str], list[str]]


def read_table(text: str) -> Table:
    """(client, feature) → a cell for each backend."""
    rows = re.findall(r"^\| (.+) \|$", text[text.index("<!-- measured -->") : text.index("<!-- /measured -->")], re.M)
    cells = [[cell.strip() for cell in row.split("|")] for row in rows[2:]]
    return {(row[0], row[1]): row[2:] for row in cells}


def write_table(table: Table) -> str:
    lines = [" | ".join(["client", "feature", *BACKENDS]), " | ".join(["---"] * (2 + len(BACKENDS)))]
    lines += [" | ".join([*key, *cells]) for key, cells in table.items()]
    return "".join(f"| {line} |\n" for line in lines)


def measured(place: Place, backend: str) -> None:
    """Probe everything, and compare with the page (or write into it)."""
    text = PAGE.read_text()
    column, table, wrong = BACKENDS.index(backend), read_table(text), []
    for client, probes in PROBES.items():
        for feature, probe in probes.items():
            cell, why = outcome(probe, place)
            said = table.setdefault((client, feature), ["?"] * len(BACKENDS))
            if cell and said[column] != cell:
                wrong.append(f"{client}, {feature}: the page says {said[column]}, it is {cell} ({why[:300]})")
                said[column] = cell
    place.close()
    if os.environ.get("DAYZERO_WRITE_DIALECTS"):
        before, rest = text.split("<!-- measured -->\n")
        after = rest.split("<!-- /measured -->")[1]
        PAGE.write_text(f"{before}<!-- measured -->\n{write_table(table)}<!-- /measured -->{after}")
    else:
        assert not wrong, "\n".join(wrong)


def place(world: World, model: str, question: str, answer: str, stop: str, **more: object) -> Place:
    key = new_key(world.settings, "stable")
    folder = world.folder / "clients"
    folder.mkdir(exist_ok=True)
    return Place(world.gateway.url, key, model, question, answer, stop, folder=folder, **more)


def asked(world: World, model: str, api: Api) -> Place:
    def reached(name: str) -> bool:
        return name in api.seen[-1]

    return place(world, model, "Where is Brno?", TEXT, " in", leaving=hung_up(api), reached=reached)


def provide(world: World, name: str, litellm_model: str, base: str) -> None:
    aside = world.folder / "providers.new"
    aside.write_text(
        f'[[models]]\nname = "{name}"\nlitellm_model = "{litellm_model}"\napi_base = "{base}"\nkey_env = "LAB_KEY"\n'
        'tags = ["stable"]\ninput_price = 1\noutput_price = 2\n'
    )
    os.replace(aside, world.folder / "providers.toml")
    until(lambda: name in {model.id for model in world.client().models.list()}, 30, "the provider's model")


def hung_up(api: Api) -> Callable[[], Callable[[], bool]]:
    def leaving() -> Callable[[], bool]:
        before = api.left
        return lambda: api.left > before

    return leaving


def rested(url: str) -> Callable[[], Callable[[], bool]]:
    """vLLM wrote less than it was asked for, and writes no more: the same number of tokens a second long."""

    def leaving() -> Callable[[], bool]:
        before, seen = written(url), []

        def gone() -> bool:
            seen.append(written(url))
            return len(seen) > 20 and len(set(seen[-20:])) == 1 and seen[-1] - before < LONG["max_tokens"]

        return gone

    return leaving


def written(url: str) -> float:
    metrics = httpx.get(f"{url}/metrics").text
    return float(re.search(r"^vllm:generation_tokens_total\{[^}]*\} ([\d.e+]+)", metrics, re.M).group(1))


def tiny(world: World, name: str, url: str, backend_model: str, folder: Path, engine: str) -> None:
    """A deployment whose weights lie where the gateway looks for its tokenizer."""
    weights = model_folder(world.settings.site.shared, name, "abc")
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.symlink_to(folder)
    world.ledger.deploy(name.replace("/", "-"), name)
    world.ledger.serve(name.replace("/", "-"), url, backend_model, engine)
    world.settle()


def test_openais_api(world: World) -> None:
    """Through litellm, against a stand-in in the shapes of the service."""
    api = OpenAIApi().start()
    try:
        provide(world, "gpt", "openai/gpt-4o", f"{api.url}/v1")
        measured(asked(world, "gpt", api), BACKENDS[2])
    finally:
        api.stop()


def test_anthropics_api(world: World) -> None:
    """The same for a service that speaks another dialect."""
    api = AnthropicApi().start()
    try:
        provide(world, "claude", "anthropic/claude-sonnet-4-5", api.url)
        measured(asked(world, "claude", api), BACKENDS[3])
    finally:
        api.stop()


@pytest.mark.engine
@needs_engine
def test_vllm(world: World, tmp_path: Path) -> None:
    """The real one, with a tiny model; when a caller hangs up, its engine runs nothing any more."""
    folder = shelf.ensure("good", ENGINE / "python", ROOT / ".lab" / "models").folder
    with serving("vllm", folder, VLLM + VLLM_TOOLS, "tiny", tmp_path / "vllm.log") as url:
        tiny(world, "real/vllm", url, "tiny", folder, "vllm")

        here = place(world, "real/vllm", BREAD, BAKED, " yeast", leaving=rested(url), learned=False, long=LONG)
        measured(here, BACKENDS[0])
        left = [row for row in world.rows("real/vllm") if row["status"] == 499]
        assert left and all(row["counted"] == "tokenizer" and row["prompt_tokens"] > 0 for row in left)


@pytest.mark.engine
@needs_engine
def test_transformers(world: World, tmp_path: Path) -> None:
    """The real `transformers serve`: asked for chats only, whatever the dialect."""
    folder = shelf.ensure("alien", ENGINE / "python", ROOT / ".lab" / "models").folder
    with serving("transformers", folder, TRANSFORMERS, str(folder), tmp_path / "transformers.log") as url:
        tiny(world, "real/transformers", url, str(folder), folder, "transformers")
        here = place(world, "real/transformers", BREAD, BAKED, " yeast", leaving=None, learned=False)
        measured(here, BACKENDS[1])
