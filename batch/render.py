"""sbatch_templates/ + values → a complete batch script. Every value passes through one quoting filter.

The filter is Jinja's `finalize`, so a template's author doesn't write it and can't leave it out. Quoting alone would
not do in a comment or an #SBATCH line, where a line break ends the line whatever the quotes say: what can't be printed
is refused.
"""

import shlex
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined

from lifecycle.errors import Refused


def quote(value: object) -> object:
    """`value` as one word of a shell, and one value of an #SBATCH line. Refused when it can't be one."""
    if isinstance(value, Undefined):
        return value  # StrictUndefined raises by itself, with the name
    if value is None or isinstance(value, bool) or not isinstance(value, str | int | float | Path):
        raise Refused(f"{value!r} is no value for a batch script.", "That is a mistake in the program: report it.")
    text = str(value)
    if bad := next((c for c in text if not c.isprintable()), None):
        raise Refused(f"{text[:80]!r} can't stand in a batch script: it holds {bad!r}.", "Choose another name.")
    return shlex.quote(text)


class Templates:
    def __init__(self, folder: Path):
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            finalize=quote,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # shell, not HTML
        )

    def render(self, name: str, **values: object) -> str:
        """The text of template `name`. Refused for a value that can't be quoted; UndefinedError for a forgotten one."""
        return self._environment.get_template(name).render(values)


def time_limit(seconds: float) -> str:
    """Slurm's D-HH:MM:SS, rounded up to a minute: shorter limits round up anyway."""
    minutes = max(1, -(-int(seconds) // 60))
    days, rest = divmod(minutes, 24 * 60)
    return f"{days}-{rest // 60:02d}:{rest % 60:02d}:00"


def output_pattern(folder: Path, name: str) -> str:
    """--output for `name` (may hold %j) in `folder`, whose own % signs must not be read as patterns."""
    return str(folder).replace("%", "%%") + "/" + name


def array(indices: Iterable[int]) -> str:
    """What --array takes: `0-3,8`."""
    spans: list[list[int]] = []
    for index in sorted(indices):
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
