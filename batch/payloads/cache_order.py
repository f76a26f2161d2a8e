"""What the caching job is told, out of plan.json in the run folder."""

from dataclasses import dataclass
from pathlib import Path

from batch.payloads.cache_fetch import Patience
from lifecycle.errors import Refused
from lifecycle.runfolder import model_folder, read_json, safe_name


@dataclass(frozen=True, kw_only=True)
class Order:
    run_folder: Path
    shared: Path
    endpoint: str
    repo: str
    revision: str
    allow_pickle: bool = False
    allow_code: bool = False
    keep_free: int = 2**30  # bytes of the file system that stay free
    patience: Patience

    @property
    def target(self) -> Path:
        return model_folder(self.shared, self.repo, self.revision)

    @property
    def staging(self) -> Path:
        org, _, name = self.repo.partition("/")
        return self.shared / "models" / ".staging" / "--".join(map(safe_name, (org, name, self.revision)))

    @property
    def lock(self) -> Path:
        return self.staging.with_name(self.staging.name + ".lock")

    @property
    def progress(self) -> Path:
        return self.run_folder / "cache" / "progress.json"

    @property
    def page(self) -> str:
        return f"{self.endpoint}/{self.repo}"


def read_order(run_folder: Path, keep_free: int, patience: Patience) -> Order:
    """Raises Refused when plan.json isn't there or lacks something."""
    path = run_folder / "plan.json"
    document = read_json(path)
    if document is None:
        raise Refused(f"{path} is missing or can't be read.", "Submit through dayzero, or write it.")
    try:
        plan = document["plan"]
        order = Order(
            run_folder=run_folder,
            shared=Path(document["shared"]),
            endpoint=str(document["endpoint"]).rstrip("/"),
            repo=document["repo"],
            revision=document["revision"],
            allow_pickle=plan.get("allow_pickle") is True,
            allow_code=plan.get("trust_remote_code") is True,
            keep_free=keep_free,
            patience=patience,
        )
        _ = order.target, order.staging
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Refused(f"{path} can't be used ({error}).", "Submit through dayzero, or mend it.") from None
    return order
