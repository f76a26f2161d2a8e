"""Values of #SBATCH lines: what is asked of a node, whose job it is. Pure."""


def comment(name: str) -> str:
    """What squeue's %k and `scontrol show job` show of every job of a deployment."""
    return f"dayzero/{name}"


def memory(host_bytes: int, whole: bool) -> str:
    """--mem for a node: in MiB, rounded up; '0' is all of it, '' is what the site gives anyway."""
    if whole:
        return "0"
    return f"{-(-host_bytes // 2**20)}M" if host_bytes else ""


def options(given: tuple[str, ...]) -> list[tuple[str, str]]:
    """(name, value) of each '--name=value'; '' for a flag."""
    return [(name, value) for name, _, value in (option.removeprefix("--").partition("=") for option in given)]
