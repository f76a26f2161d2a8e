"""What the caching job is told, out of plan.json in the run folder."""

from dataclasses import dataclass
from pathlib import Path

from batch.payloads.cache_fetch import Patience
from batch.payloads.place import Place, read_place


@dataclass(frozen=True, kw_only=True)
class Order(Place):
    """`share` of `shares`: which part of the files this task fetches; an array of one is a job."""

    endpoint: str
    allow_pickle: bool = False
    allow_code: bool = False
    patience: Patience
    share: int = 0
    shares: int = 1

    @property
    def progress(self) -> Path:
        return self.reports / ("progress.json" if self.shares == 1 else f"progress-{self.share}.json")

    @property
    def page(self) -> str:
        return f"{self.endpoint}/{self.repo}"


def read_order(run_folder: Path, keep_free: int, patience: Patience, share: int = 0, shares: int = 1) -> Order:
    """Raises Refused when plan.json isn't there or lacks something."""
    return read_place(
        run_folder / "plan.json",
        lambda document: Order(
            run_folder=run_folder,
            shared=Path(document["shared"]),
            endpoint=str(document["endpoint"]).rstrip("/"),
            repo=document["repo"],
            revision=document["revision"],
            allow_pickle=document["plan"].get("allow_pickle") is True,
            allow_code=document["plan"].get("trust_remote_code") is True,
            keep_free=keep_free,
            patience=patience,
            share=share,
            shares=shares,
        ),
    )
