"""Which files the commit has, and which of them we want."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import ModelInfo

from batch import hub_answers
from batch.facts_files import INDEX, Wanted, unsafe_path, wanted, weight_files
from batch.payloads.cache_fetch import Source
from batch.payloads.cache_order import Order
from batch.payloads.ending import Stopped
from lifecycle.errors import HubUnavailable, NoWeights, Refused, UnknownModel


def listing(order: Order, token: str | bool, stop: threading.Event) -> dict[str, Source]:
    """path → where to get it and what it must be. Busy answers are waited out. Raises Stopped or lifecycle.errors."""
    info = _ask(order, token, stop)
    sources = {}
    for s in info.siblings or ():
        name = s.rfilename
        if unsafe_path(name):
            raise Refused(f"{order.repo} holds a file named {name!r}, which would leave its folder.", "Don't use it.")
        sources[name] = Source(
            repo=order.repo,
            path=name,
            url=hf_hub_url(order.repo, name, revision=order.revision, endpoint=order.endpoint),
            size=(s.lfs.size if s.lfs else s.size) or 0,
            sha256=s.lfs.sha256 if s.lfs else None,
            blob_id=None if s.lfs else s.blob_id,
        )
    for name in sources:
        if name.removesuffix(".part") != name and name.removesuffix(".part") in sources:
            raise Refused(f"{order.repo} holds {name!r}, our own name for half a file.", "Don't use this repository.")
    return sources


def choose(order: Order, sources: Mapping[str, Source], index: Path | None) -> Wanted:
    """What to take. `index`: the downloaded model.safetensors.index.json, None when the commit has none.

    Raises NoWeights, Refused (pickles that the plan doesn't allow), HubUnavailable (still being uploaded).
    """
    weights = weight_files(sources, _named_by(index) if index else None)
    if weights.missing:
        raise HubUnavailable(
            f"{order.repo} lacks {len(weights.missing)} files of its weights, {weights.missing[0]} for one.",
            "They are probably still being uploaded: wait for the next commit.",
        )
    if not weights.loaded:
        raise NoWeights(f"{order.repo} holds no weights that can be served.", "Look at the repository.")
    if weights.pickle and not order.allow_pickle:
        raise Refused(
            f"{order.repo} has its weights only as pickle files, and reading those runs code from the Hub.",
            "Look for a safetensors copy.",
        )
    return wanted(sources, weights, allow_pickle=order.allow_pickle, allow_code=order.allow_code)


def _named_by(index: Path) -> set[str]:
    try:
        names = json.loads(index.read_bytes())["weight_map"].values()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NoWeights(f"{INDEX} is not an index of weights.", "Look at the repository.") from None
    return {str(name) for name in names}


def _ask(order: Order, token: str | bool, stop: threading.Event) -> ModelInfo:
    api = HfApi(endpoint=order.endpoint, token=token, library_name="dayzero")
    failures = 0
    while True:
        try:
            with _in_our_words(order):
                return api.model_info(order.repo, revision=order.revision, files_metadata=True, timeout=30)
        except HubUnavailable as error:
            failures += 1
            if failures >= order.patience.tries:
                raise
            if stop.wait(order.patience.wait(failures, error.retry_after_s)):
                raise Stopped from None


@contextlib.contextmanager
def _in_our_words(order: Order) -> Iterator[None]:
    try:
        yield
    except GatedRepoError:
        raise hub_answers.gated(order.repo, order.page) from None
    except RepositoryNotFoundError:
        raise UnknownModel(f"The Hub doesn't show {order.repo} to us.", f"Look at {order.page}.") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in hub_answers.PASSING:
            raise hub_answers.busy(status, error.response.headers) from None
        if status in (401, 403):
            raise hub_answers.bad_token(status) from None
        raise UnknownModel(
            f"The Hub has no commit {order.revision} of {order.repo}.", f"Look at {order.page}."
        ) from None
    except httpx.HTTPError as error:
        raise HubUnavailable(f"The Hub at {order.endpoint} doesn't answer ({type(error).__name__}).") from None
