"""The status page: what can be called through this address. Candidates are nobody's business but the Gauntlet's."""

from html import escape

from gateway.keys import TAGS
from gateway.live import Live
from gateway.providers import Providers
from gateway.replicas import Fleet
from gateway.router import LiteLLM
from lifecycle.deployments import CANDIDATE_TAG
from lifecycle.settings import Settings

SHOWN = tuple(tag for tag in TAGS if tag != CANDIDATE_TAG)

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{site}: models</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; width: 100%; }} th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; }}
td {{ border-top: 1px solid #ddd; }} code, pre {{ background: #f4f4f4; padding: .1rem .3rem; }}
pre {{ padding: .8rem; overflow-x: auto; }} .problem {{ color: #a00; }}
</style></head><body>
<h1>{site}</h1>
{problems}
<table><thead><tr><th>Model</th><th>Tag</th><th>Servers</th><th>Requests now</th></tr></thead>
<tbody>{rows}</tbody></table>
<p>Call any of them with an OpenAI client and your key:</p>
<pre>curl {url}/v1/chat/completions -H "Authorization: Bearer $DAYZERO_KEY" -H "Content-Type: application/json" \\
  -d '{{"model": "{example}", "messages": [{{"role": "user", "content": "Hello"}}]}}'</pre>
</body></html>
"""


def render(settings: Settings, live: Live, fleet: Fleet, providers: Providers, litellm: LiteLLM) -> str:
    """The page as HTML; everything that came from outside is escaped."""
    rows, example = [], ""
    for name, served in live.table.models(SHOWN).items():
        example = example or name
        servers = sum(fleet.healthy(one) for one in served)
        busy = sum(fleet.busy(one) for one in served)
        rows.append(_row(name, served[0].tag, str(servers) if servers else "none answers now", str(busy)))
    for name, one in live.table.aliases(SHOWN).items():
        rows.append(_row(name, one.tag, f"the newest: {one.model}", ""))
    for model in providers.visible(SHOWN):
        example = example or model.name
        rows.append(_row(model.name, ", ".join(tag for tag in model.tags if tag in SHOWN), model.provider, ""))
    problems = [problem for problem in (live.problem, providers.problem, litellm.problem) if problem]
    return PAGE.format(
        site=escape(settings.site.name),
        url=escape(settings.gateway.url),
        example=escape(example or "org/name"),
        rows="".join(rows) or '<tr><td colspan="4">Nothing can be called yet.</td></tr>',
        problems="".join(f'<p class="problem">{escape(problem)}</p>' for problem in problems),
    )


def _row(*cells: str) -> str:
    first, *others = (escape(cell) for cell in cells)
    return f"<tr><td><code>{first}</code></td>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"
