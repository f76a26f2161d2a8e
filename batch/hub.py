"""ModelFacts from the Hugging Face Hub: one listing and a few small files. Nothing from the Hub is executed."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo
from huggingface_hub.utils import build_hf_headers

from batch import facts_config, hub_answers
from batch.facts_files import INDEX, WeightFiles, is_pickle, unsafe_path, weight_files
from lifecycle.errors import HubUnavailable, NoWeights, Refused, UnknownModel
from lifecycle.models import ModelFacts, RepoFile
from lifecycle.sections.watching import Hub

SMALL_FILE = 4 * 2**20  # bytes
TIMEOUT_S = 20.0
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*\Z", re.ASCII)


class Reference(NamedTuple):
    repo: str
    revision: str | None


def parse_reference(text: str) -> Reference:
    """'org/name', 'org/name@revision' or the page's address, with or without /tree/<revision>. Raises UnknownModel."""
    text = text.strip().strip("<>").split("|")[0]
    revision = None
    if match := re.match(r"https?://[^/]+/(.+)", text):
        parts = [p for p in match[1].split("?")[0].split("#")[0].split("/") if p]
        if len(parts) >= 4 and parts[2] in ("tree", "commit", "blob", "resolve"):
            revision = "/".join(parts[3:]) if parts[2] == "tree" else parts[3]
        repo = "/".join(parts[:2])
    else:
        repo, _, at = text.partition("@")
        revision = at or None
    if not _REPO.match(repo) or ".." in repo or "--" in repo:
        raise UnknownModel(
            f"{text[:100]!r} is not the name of a model.", "Give organization/name, or its address on the Hub."
        )
    return Reference(repo, revision)


class HubReader:
    """`facts()` asks the Hub afresh at each call. Thread-safe; keeps nothing."""

    def __init__(self, hub: Hub):
        self.endpoint = hub.endpoint.rstrip("/")
        self._token = hub.token.get_secret_value() if hub.token else False  # False: no token of the user's home
        self._api = HfApi(endpoint=self.endpoint, token=self._token, library_name="dayzero")

    def facts(self, repo: str, revision: str | None = None) -> ModelFacts:
        """What is known about `org/name` at a commit (default: the newest).

        Raises UnknownModel (with the nearest names), NoWeights, Refused (gated, or a bad token), HubUnavailable.
        """
        parse_reference(repo)
        with self._in_our_words(repo, revision):
            info = self._api.model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
        files = _files(info)
        paths = {f.path for f in files}
        if bad := next((f.path for f in files if unsafe_path(f.path)), None):
            raise Refused(f"{repo} holds a file named {bad!r}, which would leave its folder.", "Don't use it.")
        sha, size = info.sha or "", {f.path: f.size for f in files}
        config = self._json(repo, sha, "config.json", size) or self._json(repo, sha, "params.json", size) or {}
        hf_quant = self._json(repo, sha, "hf_quant_config.json", size)
        weights = weight_files(paths, self._index(repo, sha, size))
        if not weights.loaded and not weights.missing:
            raise NoWeights(*_why_no_weights(repo, paths, config))
        return _assemble(info, files, config, hf_quant, weights)

    def nearest(self, repo: str) -> list[str]:
        """Names that look like `repo`: of the same organization, else of anybody, the most downloaded first; empty
        when the Hub doesn't say."""
        org, _, name = repo.partition("/")
        try:
            others = [m.id for m in self._api.list_models(author=org, limit=500)]
            if not others:
                found = [m.id for m in self._api.list_models(search=name, sort="downloads", limit=50)]
                return difflib.get_close_matches(repo, found, n=3, cutoff=0.3)
        except (HfHubHTTPError, httpx.HTTPError, ValueError):
            return []
        by_lower = {other.partition("/")[2].lower(): other for other in others}
        return [by_lower[n] for n in difflib.get_close_matches(name.lower(), list(by_lower), n=3, cutoff=0.5)]

    def quantized(self, repo: str, organisations: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
        """(name, tags) of what these organisations have quantized of `repo`, by what the Hub knows of its base or by
        its name. HubUnavailable."""
        found: dict[str, tuple[str, ...]] = {}
        with self._in_our_words(repo, None):
            for author in dict.fromkeys(organisations):
                by_base = {"filter": f"base_model:quantized:{repo}"}
                by_name = {"search": repo.partition("/")[2]}
                for how in (by_base, by_name):
                    for model in self._api.list_models(author=author, limit=50, **how):
                        found[model.id] = tuple(model.tags or ())
        found.pop(repo, None)
        return list(found.items())

    def _index(self, repo: str, sha: str, size: Mapping[str, int]) -> set[str] | None:
        """Files that the index names. None: no index, or one so large that we trust the numbers in the file names."""
        if size.get(INDEX, 0) > SMALL_FILE:
            return None
        index = self._json(repo, sha, INDEX, size) or {}
        names = index.get("weight_map")
        return {str(n) for n in names.values()} if isinstance(names, dict) and names else None

    def _json(self, repo: str, sha: str, path: str, size: Mapping[str, int]) -> dict[str, Any] | None:
        """One small JSON file of a commit, or None when it isn't there or isn't an object."""
        if path not in size:
            return None
        with self._in_our_words(repo, sha):
            body = self._get(hf_hub_url(repo, path, revision=sha, endpoint=self.endpoint))
        try:
            found = facts_config.parse_json(body)
        except ValueError:
            raise NoWeights(f"{path} of {repo} is not JSON.", "It may be half uploaded; try again later.") from None
        return found if isinstance(found, dict) else None

    def _get(self, url: str) -> bytes:
        headers = build_hf_headers(token=self._token, library_name="dayzero")
        body = bytearray()
        with (
            httpx.Client(follow_redirects=True, timeout=TIMEOUT_S, headers=headers) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code >= 400:
                response.read()
                raise _refusal_of(response)
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > SMALL_FILE:
                    raise NoWeights(
                        f"{url.rsplit('/', 1)[-1]} is larger than {SMALL_FILE >> 20} MiB.", "Look at the file."
                    )
        return bytes(body)

    @contextmanager
    def _in_our_words(self, repo: str, revision: str | None) -> Iterator[None]:
        try:
            yield
        except GatedRepoError:
            raise hub_answers.gated(repo, f"{self.endpoint}/{repo}") from None
        except RevisionNotFoundError:
            page = f"{self.endpoint}/{repo}/commits/main"
            raise UnknownModel(f"{repo} has no revision {revision!r}.", f"Look at {page}.") from None
        except (RepositoryNotFoundError, HFValidationError):
            near = self.nearest(repo)
            hint = f"Did you mean {' or '.join(near)}?" if near else "Look at its spelling."
            raise UnknownModel(f"There is no model {repo} on the Hub, or this token may not see it.", hint) from None
        except HfHubHTTPError as error:
            raise _of_status(error.response, repo) from None
        except (httpx.HTTPError, OSError) as error:
            raise HubUnavailable(f"The Hub at {self.endpoint} doesn't answer ({type(error).__name__}).") from error


def _refusal_of(response: httpx.Response) -> HfHubHTTPError:
    """The same classes as huggingface_hub raises for the same answers."""
    code = response.headers.get("X-Error-Code", "")
    kind: Callable[..., HfHubHTTPError] = HfHubHTTPError
    if code == "GatedRepo":
        kind = GatedRepoError
    elif code == "RevisionNotFound":
        kind = RevisionNotFoundError
    elif code == "RepoNotFound":
        kind = RepositoryNotFoundError
    return kind(f"{response.status_code} for {response.url.path}", response=response)


def _of_status(response: httpx.Response, repo: str) -> Exception:
    status = response.status_code
    if status in (401, 403):
        return hub_answers.bad_token(status)
    if status in hub_answers.PASSING:
        return hub_answers.busy(status, response.headers)
    return UnknownModel(f"The Hub doesn't know what to do with {repo} (HTTP {status}).", "Look at its spelling.")


def _files(info: ModelInfo) -> tuple[RepoFile, ...]:
    return tuple(
        RepoFile(
            path=s.rfilename,
            size=(s.lfs.size if s.lfs else s.size) or 0,
            sha256=s.lfs.sha256 if s.lfs else None,
            blob_id=None if s.lfs else s.blob_id,
        )
        for s in info.siblings or ()
    )


def _why_no_weights(repo: str, paths: set[str], config: dict[str, Any]) -> tuple[str, str]:
    """One sentence and a next step for a repository without anything to serve."""
    if "adapter_config.json" in paths:
        return f"{repo} is an adapter (LoRA), not a model.", "Deploy the model it was made for."
    if "model_index.json" in paths:
        return f"{repo} is a diffusion pipeline, not a language model.", "Choose a language model."
    if any(p.lower().endswith(".gguf") for p in paths):
        return f"{repo} holds only GGUF files, which our engines don't serve.", "Choose the original repository."
    if any(p.startswith("ckpt") for p in paths):
        return f"{repo} holds a JAX checkpoint, no safetensors.", "Look for a converted copy."
    if any(p.lower().endswith((".h5", ".msgpack", ".onnx", ".ot")) for p in paths):
        return f"{repo} holds weights for other frameworks, no safetensors.", "Look for a converted copy."
    if config:
        return f"{repo} has a config.json but no weights (yet).", "They may still be uploading; try again later."
    if paths - {".gitattributes", "README.md"}:
        return f"{repo} holds no weights that can be served.", "Look at the repository."
    return f"{repo} is empty.", "Its files may still be uploading; try again later."


def _assemble(
    info: ModelInfo, files: tuple[RepoFile, ...], config: dict[str, Any], hf_quant: dict | None, weights: WeightFiles
) -> ModelFacts:
    size = {f.path: f.size for f in files}
    stored = info.safetensors
    card = info.card_data
    return ModelFacts(
        repo=info.id,
        revision=info.sha or "",
        created_at=info.created_at.timestamp() if info.created_at else None,
        modified_at=info.last_modified.timestamp() if info.last_modified else None,
        license=_licence(info, card),
        gated=bool(info.gated),
        private=bool(info.private),
        architecture=facts_config.architecture(config),
        model_type=config.get("model_type"),
        params=stored.total if stored else None,
        params_active=facts_config.active_params(info.id),
        dtype=facts_config.dtype(config, hf_quant, stored.parameters if stored else None),
        quantization=facts_config.quantization(config, hf_quant),
        context=facts_config.context(config),
        pipeline_tag=info.pipeline_tag,
        files=files,
        weights_bytes=sum(size[p] for p in weights.loaded),
        has_safetensors=not weights.pickle,
        has_pickle=any(is_pickle(f.path) for f in files),
        needs_remote_code=facts_config.needs_remote_code(config),
        complete=not weights.missing,
        missing=weights.missing,
        config=config,
    )


def _licence(info: ModelInfo, card: Any) -> str | None:
    named = getattr(card, "license_name", None) or getattr(card, "license", None)
    if isinstance(named, list):
        named = named[0] if named else None
    if named:
        return str(named)
    return next((t.removeprefix("license:") for t in info.tags or () if t.startswith("license:")), None)
