"""The providers file: proprietary models, in TOML, re-read when it changes.

    [[models]]
    name = "gpt-4o-mini"                  # what callers ask for
    litellm_model = "openai/gpt-4o-mini"  # what litellm calls it
    api_base = ""                         # empty: the provider's own
    key_env = "OPENAI_API_KEY"            # the variable that holds the key; empty: no key
    tags = ["stable"]                     # which keys may call it
    input_price = 0.15                    # per million tokens; leave both out: litellm's price map
    output_price = 0.60

A wrong file changes nothing: the last good one stays, and `problem` says what is wrong with the new one.
"""

import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from gateway.log import say
from gateway.routing import PREFERENCE
from lifecycle.errors import BadSettings
from lifecycle.settings import Section


class ProviderModel(Section):
    name: str = Field(min_length=1, max_length=200)
    litellm_model: str = Field(min_length=1)
    api_base: str = ""
    key_env: str = ""
    tags: tuple[Literal["stable", "preview", "candidate"], ...] = Field(min_length=1)
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _prices_come_together(self) -> "ProviderModel":
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("input_price and output_price belong together")
        if self.name in PREFERENCE:
            raise ValueError(f"{self.name} is the name of a tag")
        return self

    @property
    def provider(self) -> str:
        return self.litellm_model.partition("/")[0] if "/" in self.litellm_model else "litellm"


class File(Section):
    models: tuple[ProviderModel, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> "File":
        names = [model.name for model in self.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is there twice")
        return self


class Providers:
    def __init__(self, path: Path | None, environment: Mapping[str, str] = os.environ):
        self._path = path
        self._environment = environment
        self._seen: object = ()
        self.models: Mapping[str, ProviderModel] = {}
        self.problem = ""
        self.version = 0
        self.look()

    def look(self) -> bool:
        """Re-read the file if it is another one than before; True when the models changed."""
        if self._path is None:
            return False
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        except OSError:
            seen = None
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            models = read(self._path, self._environment)
        except BadSettings as error:
            self.problem = error.advice
            say("providers.refused", reason=self.problem, kept=len(self.models))
            return False
        self.models = {model.name: model for model in models}
        self.problem = ""
        self.version += 1
        say("providers.taken", models=sorted(self.models))
        return True

    def find(self, name: str, tags: Collection[str]) -> ProviderModel | None:
        model = self.models.get(name)
        return model if model is not None and not set(tags).isdisjoint(model.tags) else None

    def visible(self, tags: Collection[str]) -> list[ProviderModel]:
        return [model for model in self.models.values() if not set(tags).isdisjoint(model.tags)]

    def key(self, model: ProviderModel) -> str:
        return self._environment.get(model.key_env, "") if model.key_env else ""


def read(path: Path, environment: Mapping[str, str]) -> tuple[ProviderModel, ...]:
    """The file's models. Raises BadSettings; never quotes a value out of the file: somebody may put a key there."""
    try:
        file = File.model_validate(tomllib.loads(path.read_text()))
    except FileNotFoundError:
        raise BadSettings(f"There is no providers file {path.name}.", "Create it.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"{path.name} can't be read as TOML: {error}.", "Mend it.") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'models'}: {e['msg']}" for e in error.errors())
        raise BadSettings(f"{path.name}: {wrong}.", "Mend it.") from None
    missing = sorted({m.key_env for m in file.models if m.key_env and not environment.get(m.key_env)})
    if missing:
        sentence = f"{path.name} names {', '.join(missing)}, which the gateway's environment lacks."
        raise BadSettings(sentence, "Set it and restart the gateway.")
    return file.models
