"""Everything that a worker holds while it runs."""

import asyncio
import contextlib
from collections.abc import Mapping

from gateway.admission import Check
from gateway.auth.limiter import Limiter
from gateway.auth.ring import KeyRing
from gateway.auth.tokens import Tokens, seer
from gateway.counting import Counter
from gateway.foreign import Foreign
from gateway.ledger.keeper import Keeper
from gateway.live import Live
from gateway.own import Own
from gateway.pages.models import Seen
from gateway.providers import Providers
from gateway.replicas import Fleet, Replica
from gateway.router import LiteLLM
from gateway.routing import Endpoint
from gateway.seats import Seats
from gateway.spending import Spending
from gateway.store import open_store
from gateway.upstream import Pool
from gateway.waking import Waking
from gateway.writer import Writer
from lifecycle.settings import Settings

BOARD = "limits.board"


class Gate:
    def __init__(self, settings: Settings, environment: Mapping[str, str]):
        """`environment` holds the providers' keys."""
        self.settings = settings
        open_store(settings.gateway_path).close()
        self.writer = Writer(settings.gateway_path)
        self.keys = KeyRing(settings.gateway_path)
        self.tokens = Tokens(settings.gateway.oidc, self.keys, seer(settings.gateway_path))
        self.providers = Providers(settings.gateway.providers_file, environment)
        self.litellm = LiteLLM()
        self.pool = Pool(settings.gateway.first_byte_s, settings.gateway.between_bytes_s)
        self.fleet = Fleet(self._probe)
        self.fleet.on_change = self._heard
        self.seats = Seats(self.fleet, settings.gateway.queue, settings.gateway.workers)
        self.waking = Waking(self.writer, settings.gateway.queue.hold_s)
        price = settings.gateway.gpu_hour_price
        self.counter = Counter(settings.site.shared, self.writer)
        self.own = Own(self.pool, self.fleet, self.writer, price, self.seats, self.waking, self.counter)
        self.foreign = Foreign(self.litellm, self.writer)
        self.live = Live(
            settings.ledger_path,
            self.fleet,
            self.providers,
            self.keys,
            self.litellm,
            self.writer,
            self.seats,
            self.waking,
            settings.gateway.aliases,
        )
        self.limiter = Limiter(settings.gateway_path.with_name(BOARD), settings.gateway_path)
        self.spending = Spending(self.limiter, self.providers, self.litellm)
        self.checks: list[Check] = [self.limiter]
        self.live.look()
        self.litellm.sync(self.live.table, self.providers)
        self.seen = Seen()
        self.keeper = Keeper(settings.gateway_path, settings.gateway.keep_requests_days)
        self._watching = asyncio.gather(self.live.run(), self.limiter.run(), self.tokens.run())

    def _heard(self, replica: Replica) -> None:
        self.litellm.note(replica)
        self.seats.look()

    async def _probe(self, endpoint: Endpoint) -> bool:
        return await self.own.probe(endpoint)

    async def close(self) -> None:
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching
        await self.keeper.close()
        self.live.close()
        self.fleet.close()
        self.pool.close()
        await self.counter.close()
        await asyncio.to_thread(self.writer.close)
        self.limiter.close()
        self.keys.close()
