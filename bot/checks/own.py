"""Our own other half: the gateway, its providers, the suites of the Gauntlet."""

import ipaddress
import os
from urllib.parse import urlsplit

import httpx

from bot.checks.result import Found
from gateway.providers import read
from gauntlet.suite_files import SHIPPED, read_suites
from lifecycle.settings import Settings

TIMEOUT_S = 10.0


def gateway(settings: Settings) -> Found:
    url = settings.gateway.url
    if settings.cluster.kind == "slurm" and _only_here(url) and not _is_loopback(settings.serving.address):
        sentence = f"Nodes can't reach the gateway at {url}, and the Gauntlet's jobs run there."
        return Found(False, sentence, "Set gateway.host to 0.0.0.0 and gateway.public_url to this host's address.")
    try:
        alive = httpx.get(f"{url}/healthz", timeout=TIMEOUT_S)
        ready = httpx.get(f"{url}/readyz", timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        advice = "Start it: `dayzero gateway`."
        return Found(False, f"The gateway at {url} gives no answer ({type(error).__name__}).", advice)
    if alive.status_code != 200:
        return Found(False, f"{url}/healthz answers {alive.status_code}.", "Is it the gateway that listens there?")
    if ready.status_code != 200:
        return Found(False, f"The gateway is not ready: {_reason(ready)}.", "Its log says more.")
    return Found(True, f"{url} is alive and ready.")


def _reason(answer: httpx.Response) -> str:
    try:
        return answer.json()["reason"]
    except (ValueError, KeyError, TypeError):
        return f"/readyz answers {answer.status_code}"


def _only_here(url: str) -> bool:
    return _is_loopback(urlsplit(url).hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def providers(settings: Settings) -> Found:
    """The file as it would be read now; the keys it names must be in this environment too."""
    if settings.gateway.providers_file is None:
        return Found(None, "gateway.providers_file is empty: only our own models.")
    models = read(settings.gateway.providers_file, os.environ).models
    return Found(True, f"{len(models)} models of others: {', '.join(m.name for m in models)}.")


def gauntlet(settings: Settings) -> Found:
    suites = read_suites(settings.gauntlet.suites or SHIPPED)
    cases = sum(len(suite.cases) for suite in suites)
    judge = settings.gauntlet.judge or "nobody (gauntlet.judge is empty): what needs a judge stays open"
    return Found(True, f"{len(suites)} suites with {cases} cases; judged by {judge}.")
