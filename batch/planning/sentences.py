"""Numbers as people read them."""


def bytes_text(size: float) -> str:
    """'141.1 GB', '1.5 MB', '812 bytes' (powers of 1000)."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def count(number: int, noun: str) -> str:
    """'1 node', '3 nodes'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
