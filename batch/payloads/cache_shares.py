"""A large download over several array tasks: who fetches which files, and which are there and verified already.

The files are dealt by size, in every task alike, so that the tasks need not talk. A task that is done leaves a receipt
in the run folder; the last one finds all receipts and publishes. What a receipt says of a file holds as long as the
file has the size and the time it had. Standard library only.
"""

import heapq
from collections.abc import Collection, Mapping
from pathlib import Path

from batch.payloads.place import Place
from lifecycle.runfolder import read_json, write_json


def deal(sizes: Mapping[str, int], shares: int) -> list[list[str]]:
    """The paths of each share: the largest first, always to the share with the fewest bytes. Pure."""
    dealt: list[list[str]] = [[] for _ in range(shares)]
    heap = [(0, 0, n) for n in range(shares)]  # bytes, files, share
    for path in sorted(sizes, key=lambda path: (-sizes[path], path)):
        size, count, n = heapq.heappop(heap)
        dealt[n].append(path)
        heapq.heappush(heap, (size + sizes[path], count + 1, n))
    return dealt


def shares_for(size: int, each: int, most: int) -> int:
    """How many tasks fetch `size` bytes, when each is to have about `each` of them."""
    return max(1, min(most, -(-size // each)))


def sign(place: Place, share: int, shares: int, paths: Collection[str]) -> None:
    """Leave the receipt: these files of `staging` are verified."""
    files = {path: _stamp(place.staging / path) for path in paths}
    write_json(_receipt(place.reports, share), {"shares": shares, "revision": place.revision, "files": files})


def verified(place: Place, shares: int) -> set[str]:
    """The files that some task has verified and nobody has touched since."""
    found: set[str] = set()
    for share in range(shares):
        receipt = _read(place.reports, share, shares, place.revision) or {}
        stamps = receipt.get("files", {})
        found |= {path for path, stamp in stamps.items() if _stamp(place.staging / path) == stamp}
    return found


def unfinished(place: Place, shares: int) -> list[int]:
    """The shares that have to be fetched (again). When only the publishing is missing, the first one does it."""
    if not place.staging.is_dir():
        return list(range(shares))
    good = verified(place, shares)
    receipts = [_read(place.reports, share, shares, place.revision) for share in range(shares)]
    left = [n for n, receipt in enumerate(receipts) if receipt is None or not good.issuperset(receipt["files"])]
    return left or [0]


def _receipt(reports: Path, share: int) -> Path:
    return reports / f"share-{share}.json"


def _read(reports: Path, share: int, shares: int, revision: str) -> dict | None:
    found = read_json(_receipt(reports, share))
    return found if found and (found.get("shares"), found.get("revision")) == (shares, revision) else None


def _stamp(path: Path) -> list[int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]
