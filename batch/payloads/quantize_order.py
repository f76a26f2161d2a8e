"""What the quantize job is told, out of quantize.json in the run folder. Standard library only."""

from dataclasses import dataclass
from pathlib import Path

from lifecycle.errors import Refused
from lifecycle.runfolder import model_folder, read_json, safe_name


@dataclass(frozen=True, kw_only=True)
class Order:
    """`made_from`: the commit whose weights are read; `revision`: under what the copy is published beside it."""

    run_folder: Path
    shared: Path
    repo: str
    made_from: str
    revision: str
    scheme: str
    group_size: int
    command: tuple[str, ...]
    calibration: Path | None
    sample_tokens: int
    keep_free: int = 2**30

    @property
    def source(self) -> Path:
        return model_folder(self.shared, self.repo, self.made_from)

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
    def reports(self) -> Path:
        return self.run_folder / "cache"


def read_order(run_folder: Path) -> Order:
    """Raises Refused when quantize.json isn't there or lacks something."""
    path = run_folder / "quantize.json"
    document = read_json(path)
    if document is None:
        raise Refused(f"{path} is missing or can't be read.", "Submit through dayzero, or write it.")
    try:
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
        _ = order.source, order.target, order.staging
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Refused(f"{path} can't be used ({error}).", "Submit through dayzero, or mend it.") from None
    return order
