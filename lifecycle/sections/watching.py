"""What is watched, and the weights that come of it."""

from typing import Literal

from pydantic import Field, SecretStr

from lifecycle.sections.section import Section


class Hub(Section):
    endpoint: str = "https://huggingface.co"
    token: SecretStr | None = Field(default=None, description="HF_TOKEN")


class Weights(Section):
    """How weights come to the shared file system, and what `dayzero weights gc` leaves there."""

    keep_free: int = Field(default=2**40, ge=0)  # bytes; the least recently used weights go until so much is free
    keep_days: float = Field(default=7, ge=0)  # weights that were used within this many days stay
    array_bytes: int = Field(default=100 * 2**30, gt=0)  # more is dealt over jobs of an array, so much each
    array_tasks: int = Field(default=8, ge=1)  # over so many jobs at most; 1: it stays one job


Kind = Literal["model", "finetune", "quantized", "requantized", "adapter", "merge", "gguf"]


class Watch(Section):
    organizations: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    every_s: float = Field(default=600, gt=0)
    settle_s: float = Field(default=60, ge=0)  # no commit for this long before a release counts as complete
    announce_since_days: float = Field(default=0, ge=0)  # on the first look: announce what is younger than this
    kinds: tuple[Kind, ...] = ("model", "finetune", "quantized")  # announced; requantized: not by its org or a partner
    partners: tuple[str, ...] = ()  # their quantized variants of what we watch are official, and looked for
    ignore: tuple[str, ...] = ()  # names that are never announced; * stands for any letters: "*-draft", "acme/*-base"
    promise_hours: float = Field(default=24, gt=0)  # from publication to preview; cards show what is left of it
    warn_hours: tuple[float, ...] = (12, 20)  # the channel is warned so many hours after publication


class Github(Section):
    endpoint: str = "https://api.github.com"
    repositories: tuple[str, ...] = ("vllm-project/vllm", "huggingface/transformers")
    every_s: float = Field(default=600, gt=0)
    build_images: bool = True  # a release has an image built, where runtimes run in images
    token: SecretStr | None = Field(default=None, description="GITHUB_TOKEN")
