"""ModelFacts: what the Hub says about one repository at one commit, as a frozen value that survives JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class RepoFile:
    path: str
    size: int  # bytes
    sha256: str | None = None  # of LFS files
    blob_id: str | None = None  # git sha1 of ordinary files


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Sizes in bytes; `params` counts of parameters (None: not known). `config` is config.json as found."""

    repo: str  # org/name
    revision: str  # 40 hex digits
    created_at: float | None = None
    modified_at: float | None = None
    license: str | None = None
    gated: bool = False
    private: bool = False
    architecture: str | None = None
    model_type: str | None = None
    params: int | None = None
    params_active: int | None = None
    dtype: str | None = None  # as served today: bfloat16, fp8, ...
    quantization: str | None = None
    context: int | None = None  # tokens
    pipeline_tag: str | None = None
    files: tuple[RepoFile, ...] = ()
    weights_bytes: int = 0  # of the files that will be loaded
    has_safetensors: bool = False
    has_pickle: bool = False
    needs_remote_code: bool = False
    complete: bool = True  # every file that the index names is there
    missing: tuple[str, ...] = ()  # names of files still missing
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        return sum(f.size for f in self.files)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ModelFacts":
        files = tuple(RepoFile(**f) for f in data.get("files", ()))
        return cls(**{**data, "files": files, "missing": tuple(data.get("missing", ()))})
