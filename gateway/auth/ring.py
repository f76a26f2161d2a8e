"""The keys in memory: a request costs one hash. Holds what gateway.db said when `refresh` last looked."""

import hmac
from pathlib import Path

from gateway.auth import store
from gateway.auth.key import ADMIN, USER, Key, fingerprint, prefix_of
from gateway.auth.teams import Team
from gateway.store import read_only

NOBODY = fingerprint("")


class KeyRing:
    """Of one `kind`: a key for the admin API opens no model, and the other way round."""

    def __init__(self, path: Path, kind: str = USER):
        self._connection = read_only(path)
        self._kind = kind
        self._keys: dict[str, tuple[str, str, float, Key]] = {}
        self.people: dict[str, Key] = {}
        self.teams: dict[str, Team] = {}
        self.generation = 0
        self.refresh()

    def refresh(self) -> None:
        """Take over what has changed. About ten microseconds when nothing has."""
        generation = store.generation(self._connection)
        if generation == self.generation:
            return
        self._connection.execute("BEGIN")  # keys, secrets and teams of one moment
        try:
            self.generation = store.generation(self._connection)
            teams = store.teams(self._connection)
            secrets = store.secrets(self._connection)
            found = store.keys(self._connection)
        finally:
            self._connection.execute("ROLLBACK")
        self.teams = teams
        whole = [store.bound(key, teams.get(key.team)) for key in found]
        self._keys = {
            key.prefix: (*secrets[key.id], key) for key in whole if key.kind == self._kind and key.id in secrets
        }
        self.people = {key.prefix: key for key in whole if key.kind not in (USER, ADMIN)}

    def caller(self, plaintext: str, now: float) -> Key | None:
        """Whose key this is; None when it is wrong, expired or revoked."""
        key = self._look_up(plaintext, now)
        if key is None and prefix_of(plaintext):  # issued or rotated a moment ago, or never
            generation = self.generation
            self.refresh()
            if self.generation != generation:
                key = self._look_up(plaintext, now)
        return key

    def _look_up(self, plaintext: str, now: float) -> Key | None:
        expected, previous, until, key = self._keys.get(prefix_of(plaintext)) or (NOBODY, "", 0.0, None)
        given = fingerprint(plaintext)
        same = hmac.compare_digest(given, expected)
        if not same and previous and now < until:  # the secret before the last rotation, in its time of grace
            same = hmac.compare_digest(given, previous)
        return key if same and key is not None and key.alive(now) else None

    def close(self) -> None:
        self._connection.close()
