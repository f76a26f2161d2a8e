"""Everything that a worker holds while it runs."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.admission import Check
from gateway.auth.board import BOARD
from gateway.auth.key import ADMIN
from gateway.auth.limiter import Limiter
from gateway.auth.ring import KeyRing
from gateway.auth.tokens import Tokens, seer
from gateway.counting import Counter
from gateway.foreign import Foreign
from gateway.ledger.keeper import Keeper
from gateway.live import Live
from gateway.native import Native
from gateway.own import Own
from gateway.pages.models import Seen
from gateway.providers import Providers
from gateway.refused import Refused
from gateway.replicas import Fleet, Replica
from gateway.router import LiteLLM
from gateway.routing import Endpoint
from gateway.seats import Seats
from gateway.spending import Spending
from gateway.store import open_store
from gateway.tracing import tracer
from gateway.upstream import Pool
from gateway.waking import Waking
from gateway.writer import Writer
from lifecycle.settings import Settings, Shared

if TYPE_CHECKING:
    from gateway.record.recorder import Recorder
    from gateway.shared.link import Link

REQUESTS = "requests"


class Gate:
    def __init__(self, settings: Settings, environment: Mapping[str, str]):
        """`environment` holds the providers' keys."""
        self.settings = settings
        open_store(settings.gateway_path).close()
        self.link = _link(settings)
        self.writer = Writer(settings.gateway_path)
        self.keys = KeyRing(settings.gateway_path)
        self.admins = KeyRing(settings.gateway_path, ADMIN)
        self.tokens = Tokens(settings.gateway.oidc, self.keys, self._see)
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
        self.native = Native(self.providers, self.litellm, self.writer, settings.gateway.first_byte_s)
        self.foreign = Foreign(self.litellm, self.writer, self.native)
        self.live = Live(
            settings.routing_path,
            self.fleet,
            self.providers,
            self.keys,
            self.litellm,
            self.writer,
            self.seats,
            self.waking,
            settings.gateway.aliases,
        )
        self.limiter = Limiter(
            settings.gateway_path.with_name(BOARD), settings.gateway_path,
            shared=self.link is not None, strict=settings.gateway.strict_limits,
        )  # fmt: skip
        self.limiter.everywhere = settings.gateway_store
        self.refused = Refused(self.limiter.refused, self.writer)
        self.spending = Spending(self.limiter, self.providers, self.litellm)
        self.tracer = tracer(settings.gateway.tracing)
        self.recorder = _recorder(settings)
        self.checks: list[Check] = [one for one in (self.tracer, self.limiter, self.recorder) if one is not None]
        self.live.look()
        self.litellm.sync(self.live.table, self.providers)
        self.seen = Seen()
        keep = settings.gateway.keep_requests_days
        self.keepers = [Keeper(settings.gateway_path, keep, shipping=self.link is not None)]
        if self.link is not None:
            self.keepers.append(Keeper(settings.gateway_store, keep))
        self._watching = asyncio.gather(self.live.run(), self.limiter.run(), self.refused.run(), self.tokens.run())

    @property
    def problem(self) -> str:
        """Why no call can be answered and accounted for; empty: it can."""
        blind = self.link.blind if self.link is not None else ""
        return self.live.problem or self.writer.problem or blind

    def _see(self, prefix: str, name: str, issuer: str) -> None:
        """Somebody new whom an identity provider vouches for gets a row. Blocks."""
        seer(self.settings.gateway_store)(prefix, name, issuer)
        if self.link is not None:
            self.link.wait_for(prefix)

    def _heard(self, replica: Replica) -> None:
        self.litellm.note(replica)
        self.seats.look()

    async def _probe(self, endpoint: Endpoint) -> bool:
        return await self.own.probe(endpoint)

    async def close(self) -> None:
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching
        for keeper in self.keepers:
            await keeper.close()
        self.refused.write()
        self.live.close()
        self.fleet.close()
        self.pool.close()
        await self.native.close()
        await self.counter.close()
        await self.writer.close()
        if self.recorder is not None:
            await asyncio.to_thread(self.recorder.close)
        if self.tracer is not None:
            await asyncio.to_thread(self.tracer.close)
        if self.link is not None:
            await asyncio.to_thread(self.link.close)
        self.limiter.close()
        self.keys.close()
        self.admins.close()


def _link(settings: Settings) -> "Link | None":
    """To the store that several hosts share, where one is set; its first copies are here. BadSettings."""
    if not isinstance(settings.gateway_store, Shared):
        return None
    from gateway.shared.link import Link  # psycopg is only imported where it is needed

    link = Link(settings, settings.gateway_store)
    link.start()
    return link


def _recorder(settings: Settings) -> "Recorder | None":
    wanted = settings.gateway.request_log
    if not wanted.keys and not wanted.teams:
        return None
    from gateway.record.recorder import Recorder

    return Recorder(wanted, settings.site.state / REQUESTS)
