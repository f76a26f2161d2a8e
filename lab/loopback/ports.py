"""How a child process tells its parent where it listens."""

import os
from pathlib import Path


def write_port_file(path: Path, *ports: int) -> None:
    """One port a line, written beside and renamed: whoever sees the file sees all of it."""
    partial = path.with_name(path.name + ".part")
    partial.write_text("".join(f"{port}\n" for port in ports))
    os.replace(partial, path)
