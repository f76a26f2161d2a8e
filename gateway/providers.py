"""The providers file: proprietary models, in TOML, re-read when it changes.

    [[models]]
    name = "gpt-4o-mini"                  # what callers ask for
    litellm_model = "openai/gpt-4o-mini"  # what litellm calls it
    api_base = ""                         # empty: the provider's own
    key_env = "OPENAI_API_KEY"            # the variable that holds the key; empty: no key
    key_file = "secrets/openai"           # or a file that holds it, beside this one; a new key in it is live at once
    tags = ["stable"]                     # which keys may call it
    input_price = 0.15                    # per million tokens; leave both out: litellm's price map
    output_price = 0.60
    cached_input_price = 0.075            # of tokens that the provider had cached; left out: as the others
    cache_write_price = 0.20              # of tokens that the provider put into its cache; left out: as the others
    spend_per_day = 50                    # refused when so much would be spent since midnight UTC; left out: no limit
    max_parallel = 20                     # requests at a time from each worker; left out: no limit

    [providers.openai]                    # all models whose litellm_model begins with openai/
    spend_per_day = 200
    spend_per_month = 3000

A wrong file changes nothing: the last good one stays, and `problem` says what is wrong with the new one. The same goes
for a key file that is empty or gone.
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
from lifecycle.sections.section import Section


class ProviderModel(Section):
    name: str = Field(min_length=1, max_length=200)
    litellm_model: str = Field(min_length=1)
    api_base: str = ""
    key_env: str = ""
    key_file: str = ""
    tags: tuple[Literal["stable", "preview", "candidate"], ...] = Field(min_length=1)
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)
    cached_input_price: float | None = Field(default=None, ge=0)
    cache_write_price: float | None = Field(default=None, ge=0)
    spend_per_day: float | None = Field(default=None, gt=0)
    max_parallel: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _prices_come_together(self) -> "ProviderModel":
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("input_price and output_price belong together")
        if (self.cached_input_price, self.cache_write_price) != (None, None) and self.input_price is None:
            raise ValueError("cached_input_price and cache_write_price need input_price and output_price")
        if self.key_env and self.key_file:
            raise ValueError("the key is in key_env or in key_file, not in both")
        if self.name in PREFERENCE:
            raise ValueError(f"{self.name} is the name of a tag")
        return self

    @property
    def priced(self) -> bool:
        return self.input_price is not None

    def price(self, prompt: int, completion: int, cached: int, written: int = 0) -> float:
        """Of one call, by the file's own prices; tokens `cached` and `written` into the cache are among `prompt`."""
        read_price = self.input_price if self.cached_input_price is None else self.cached_input_price
        write_price = self.input_price if self.cache_write_price is None else self.cache_write_price
        fresh = max(0, prompt - cached - written)
        asked = fresh * self.input_price + cached * read_price + written * write_price
        return (asked + completion * self.output_price) / 1e6

    @property
    def provider(self) -> str:
        return self.litellm_model.partition("/")[0] if "/" in self.litellm_model else "litellm"


class ProviderLimits(Section):
    spend_per_day: float | None = Field(default=None, gt=0)
    spend_per_month: float | None = Field(default=None, gt=0)


class File(Section):
    models: tuple[ProviderModel, ...] = ()
    providers: Mapping[str, ProviderLimits] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_are_unique(self) -> "File":
        names = [model.name for model in self.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is there twice")
        if unknown := sorted(set(self.providers) - {model.provider for model in self.models}):
            raise ValueError(f"there is no model of {', '.join(unknown)}, which [providers] names")
        return self


class Providers:
    def __init__(self, path: Path | None, environment: Mapping[str, str] = os.environ):
        self._path = path
        self._environment = environment
        self._seen: object = ()
        self._key_files: list[str] = []
        self._keys: Mapping[str, str] = {}
        self.models: Mapping[str, ProviderModel] = {}
        self.limits: Mapping[str, ProviderLimits] = {}
        self.problem = ""
        self.version = 0
        self.look()

    def look(self) -> bool:
        """Re-read the file if it is another one than before; True when the models changed."""
        if self._path is None:
            return False
        seen = self._stamps()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            file = read(self._path, self._environment)
            models = file.models
            self._key_files = sorted({model.key_file for model in models if model.key_file})
            self._seen = [seen[0], *self._stamps()[1:]]  # before they are read: what changes now is seen next time
            keys = {name: read_key(self._path.parent / name) for name in self._key_files}
        except BadSettings as error:
            self.problem = error.advice
            say("providers.refused", reason=self.problem, kept=len(self.models))
            return False
        self.models, self._keys, self.limits = {model.name: model for model in models}, keys, file.providers
        self.problem = ""
        self.version += 1
        say("providers.taken", models=sorted(self.models))
        return True

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(self._path), *(_stamp(self._path.parent / name) for name in self._key_files)]

    def find(self, name: str, tags: Collection[str]) -> ProviderModel | None:
        model = self.models.get(name)
        return model if model is not None and not set(tags).isdisjoint(model.tags) else None

    def visible(self, tags: Collection[str]) -> list[ProviderModel]:
        return [model for model in self.models.values() if not set(tags).isdisjoint(model.tags)]

    def key(self, model: ProviderModel) -> str:
        """The provider's key; empty: it needs none."""
        if model.key_file:
            return self._keys[model.key_file]
        return self._environment.get(model.key_env, "") if model.key_env else ""


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def read_key(file: Path) -> str:
    """The key in a secret file. Raises BadSettings, which names the file and never the key."""
    try:
        key = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise BadSettings(f"The key file {file.name} can't be read.", f"Create {file.name}.") from None
    if not key or any(ord(letter) < 33 or ord(letter) > 126 for letter in key):
        raise BadSettings(f"The key file {file.name} holds no key.", "Put the key into it, as one line.")
    return key


def read(path: Path, environment: Mapping[str, str]) -> File:
    """The whole file. Raises BadSettings; never quotes a value out of the file: somebody may put a key there."""
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
    return file
