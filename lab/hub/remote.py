"""The lab's Hub from another process: the same verbs as lab.hub.server.Hub, by HTTP under /_lab/."""

import base64
from collections.abc import Mapping
from pathlib import Path

import httpx


class RemoteHub:
    """Drives the Hub at `url`. Every verb raises RuntimeError with the Hub's own sentence when it refuses."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, trust_env=False, timeout=600)

    def close(self) -> None:
        self._http.close()

    def publish(self, files: Path | str | Mapping[str, bytes | str | Path], repo_id: str, **meta: object) -> str:
        """The new commit's sha; a folder is read by the Hub's process, so both must see it."""
        content = {"files": _encoded(files)} if isinstance(files, Mapping) else {"folder": str(Path(files).absolute())}
        return self._do("publish", repo=repo_id, meta=meta, **content)["sha"]

    def push(self, repo_id: str, files: Mapping[str, bytes | str | Path | None], **meta: object) -> str:
        """The new commit's sha."""
        return self._do("push", repo=repo_id, files=_encoded(files), meta=meta)["sha"]

    def change(self, repo_id: str, **meta: object) -> None:
        self._do("change", repo=repo_id, meta=meta)

    def make_public(self, repo_id: str) -> None:
        self.change(repo_id, private=False)

    def grant(self, repo_id: str, user: str) -> None:
        self._do("grant", repo=repo_id, user=user)

    def delete(self, repo_id: str) -> None:
        self._do("delete", repo=repo_id)

    def rename(self, repo_id: str, new_id: str) -> None:
        self._do("rename", repo=repo_id, to=new_id)

    def limit(self, quota: int, window: float = 300.0) -> None:
        self._do("limit", quota=quota, window=window)

    def throttle(self, bytes_per_s: float) -> None:
        self._do("throttle", bytes_per_s=bytes_per_s)

    def spoil(self, match: str = "", **how: object) -> None:
        self._do("faults", match=match, **how)

    def requests(self) -> list[dict[str, object]]:
        """The journal's entries as dicts."""
        return self._http.get("/_lab/requests").raise_for_status().json()

    def _do(self, action: str, **asked: object) -> dict[str, object]:
        answer = self._http.post(f"/_lab/{action}", json=asked)
        if answer.is_error:
            raise RuntimeError(f"the lab's Hub refuses to {action}: {answer.json().get('error', answer.text)}")
        return answer.json()


def _encoded(files: Mapping[str, bytes | str | Path | None]) -> dict[str, object]:
    def one(value: bytes | str | Path | None) -> object:
        if isinstance(value, bytes):
            return {"base64": base64.b64encode(value).decode()}
        return {"file": str(value.absolute())} if isinstance(value, Path) else value

    return {path: one(value) for path, value in files.items()}
