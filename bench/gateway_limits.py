"""What keys, limits and tokens cost a request, in microseconds, each beside doing without it, in one run.

Rounds of all contenders alternate, and the best round of each counts: a busy machine slows single rounds down. No
network: that is bench/gateway.py.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gateway import keys
from gateway.auth.key import Key
from gateway.auth.limiter import Limiter
from gateway.auth.limits import NONE, Limits
from gateway.auth.ring import KeyRing
from gateway.auth.tokens import Tokens, seer
from gateway.call import CHAT, Call
from gateway.store import open_store
from lifecycle.sections.gateway import Grant, Oidc
from tests.gateway.identity import AUDIENCE, Identity

ROUNDS, REQUESTS = 15, 2000
MINUTE = Limits(requests_per_minute=10**9, tokens_per_minute=10**12)
ALL = Limits(10**9, 10**12, 10**12, 10**13, 10**9, 10**9)
KEYS = ((2, MINUTE, NONE), (3, ALL, NONE), (4, ALL, ALL))
BODY = {"model": "org/model", "messages": [{"role": "user", "content": "lorem ipsum " * 80}], "max_tokens": 100}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dz-bench-") as folder:
        _compare(Path(folder))


def _compare(folder: Path) -> None:
    path = folder / "gateway.db"
    db = open_store(path)
    plaintext = keys.issue(db, "bench", ["stable"])
    ring = KeyRing(path)
    key = ring.caller(plaintext, time.time())
    limiter = Limiter(folder / "limits.board", path)
    tokens, token = _tokens(ring, path)
    minute, whole, both = (replace(key, id=n, limits=a, team_limits=b) for n, a, b in KEYS)
    cases: dict[str, Callable[[], object]] = {
        "no key, no limits (making the call alone)": lambda: _call(key),
        "a key looked up": lambda: (ring.caller(plaintext, time.time()), _call(key)),
        "a known token of an identity provider": lambda: (tokens.caller(token), _call(key)),
        "a key without limits": lambda: _through(limiter, key),
        "requests and tokens a minute": lambda: _through(limiter, minute),
        "all six limits": lambda: _through(limiter, whole),
        "all six limits of a key and of its team": lambda: _through(limiter, both),
    }
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(ROUNDS):
        for name, act in cases.items():
            began = time.perf_counter()
            for _ in range(REQUESTS):
                act()
            best[name] = min(best[name], (time.perf_counter() - began) / REQUESTS * 1e6)
    alone = next(iter(best.values()))
    print("| a request with | µs | more than without |\n|---|---|---|")
    for name, took in best.items():
        print(f"| {name} | {took:.2f} | {took - alone:.2f} |")
    limiter.close()
    ring.close()
    db.close()


def _call(key: Key) -> Call:
    return Call(CHAT, key, "org/model", BODY, False, False)


def _through(limiter: Limiter, key: Key) -> None:
    call = _call(key)
    call.size = 1100
    limiter.before(call)
    call.count({"prompt_tokens": 250, "completion_tokens": 80})
    limiter.after(call)


def _tokens(ring: KeyRing, path: Path) -> tuple[Tokens, str]:
    identity = Identity()
    identity.add("one")
    provider = Oidc(issuer=identity.issuer, audience=AUDIENCE, grants={"all": Grant(claim="sub")})
    tokens, token = Tokens({"bench": provider}, ring, seer(path)), identity.token()
    asyncio.run(tokens.resolve(token))
    identity.close()
    return tokens, token


if __name__ == "__main__":
    main()
