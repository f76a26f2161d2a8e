"""What the quantize job is told, out of quantize.json in the run folder. Standard library only."""

from dataclasses import dataclass
from pathlib import Path

from batch.payloads.place import Place, read_place
from lifecycle.runfolder import model_folder


@dataclass(frozen=True, kw_only=True)
class Order(Place):
    """`made_from`: the commit whose weights are read; `revision`: under what the copy is published beside it."""

    made_from: str
    scheme: str
    group_size: int
    command: tuple[str, ...]
    calibration: Path | None
    sample_tokens: int

    @property
    def source(self) -> Path:
        return model_folder(self.shared, self.repo, self.made_from)


def read_order(run_folder: Path) -> Order:
    """Raises Refused when quantize.json isn't there or lacks something."""
    return read_place(run_folder / "quantize.json", lambda document: _order(run_folder, document))


def _order(run_folder: Path, document: dict) -> Order:
    calibration = document["calibration"]
    order = Order(
        run_folder=run_folder,
        shared=Path(document["shared"]),
        repo=document["repo"],
        made_from=document["made_from"],
        revision=document["revision"],
        scheme=document["scheme"],
        group_size=int(document["group_size"]),
        command=tuple(map(str, document["command"])),
        calibration=Path(calibration) if calibration else None,
        sample_tokens=int(document["sample_tokens"]),
    )
    _ = order.source
    return order
