"""What is in force and what it stands on: a Pool is opened once, Generations are built on it and swapped."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import ClientSession, DummyCookieJar, web

from gatewayd.books.ledger import LeasedLedger
from gatewayd.books.vault import JOURNALS, node_of
from gatewayd.clock import Clock
from gatewayd.config.settings import AgentTls, RouteSettings, Settings
from gatewayd.drain import Drain
from gatewayd.endpoints import OWN
from gatewayd.exchange import EXCHANGE, Exchange
from gatewayd.generation import Generation, Stores
from gatewayd.identity.accounts import DirectorySnapshot
from gatewayd.identity.providers import Providers
from gatewayd.identity.tokens import TokenVerifier
from gatewayd.policies import POLICIES
from gatewayd.policies.base import Handler, Middleware
from gatewayd.proxy.connector import AgentConnector
from gatewayd.proxy.rule import forwarding
from gatewayd.proxy.tls import Peer, Peers
from gatewayd.proxy.upstream import Upstream
from gatewayd.routing import Route, RouteTable
from gatewayd.stores.documents import open_documents
from gatewayd.stores.journal.writer import open_journal
from gatewayd.stores.open import Counting, open_counters
from gatewayd.stores.shared.memory import SharedMemory

# Agents behind common servers drop an idle connection after 5 s; a pooled one must not be older than that.
_POOL_KEEPALIVE: Final = 4.0
_DNS_TTL: Final = 10


@dataclass(slots=True)
class Pool:
    """What outlives a generation: the session with its connections, and the stores. Mutable: addresses are added."""

    session: ClientSession
    stores: Stores
    accounts: DirectorySnapshot
    providers: Providers
    ledger_pending: Callable[[], int]
    upstreams: dict[tuple[str, Peer | None], Upstream] = field(default_factory=dict)
    peers: Peers = field(default_factory=Peers)

    def upstream_at(self, url: str, tls: AgentTls | None) -> Upstream:
        """The one Upstream of this address. Raises StartError for files that cannot be used."""
        peer = self.peers.of(tls) if tls is not None else None
        if (known := self.upstreams.get((url, peer))) is None:
            connector = self.session.connector
            assert isinstance(connector, AgentConnector)
            known = self.upstreams[url, peer] = Upstream(url, connector, asyncio.get_running_loop(), peer)
        return known


async def open_pool(
    settings: Settings, clock: Clock, stack: AsyncExitStack, *, books: Path, counters: SharedMemory
) -> Pool:
    """Open what a worker holds; `stack` closes it again, in reverse. Raises StoreError.

    `books` is where the daemon's bookkeeper listens, `counters` the memory in which its workers count together.
    """
    state = settings.server.state_dir
    sharing = Counting(counters, clock, node_of(state), max(1, settings.server.workers), settings.counters.on_outage)
    counting = open_counters(settings.counters.url.reveal(), sharing)
    stack.push_async_callback(counting.close)
    ledger = LeasedLedger(
        open_journal(state / JOURNALS),
        books,
        clock,
        durability=settings.ledger.durability,
        on_outage=settings.ledger.on_outage,
    )
    stack.push_async_callback(ledger.close)
    await ledger.start()
    accounts = DirectorySnapshot(ledger)
    await accounts.start()
    stack.push_async_callback(accounts.close)
    session = ClientSession(
        connector=AgentConnector(limit=0, keepalive_timeout=_POOL_KEEPALIVE, ttl_dns_cache=_DNS_TTL),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
    )
    stack.push_async_callback(session.close)
    documents = open_documents(settings.counters.url.reveal(), shared=settings.auth.share_keys)
    stack.push_async_callback(documents.close)
    providers = Providers(session, state, documents, clock)
    stack.push_async_callback(providers.close)
    return Pool(session, Stores(counting, ledger, accounts), accounts, providers, lambda: ledger.pending)


def build(number: int, settings: Settings, pool: Pool, clock: Clock) -> Generation:
    """Everything that a request is judged by, made from the settings. Raises StartError for keys that cannot serve."""
    return Generation(
        number=number,
        settings=settings,
        routes=route_table(settings, pool),
        verifier=TokenVerifier(settings.auth, clock, published=pool.providers.keys_of),
        stores=pool.stores,
    )


def route_table(settings: Settings, pool: Pool, own: Mapping[str, Route] = OWN) -> RouteTable:
    """Each route with the rules that the policies and the proxy read from the settings."""

    def rules(route: RouteSettings | None) -> list[object]:
        return [policy.rule(settings, route) for policy in POLICIES]

    routes = [
        Route.with_rules(route.name, route.prefix, [*rules(route), forwarding(settings, route, pool.upstream_at)])
        for route in settings.routes.values()
    ]
    return RouteTable(routes, own, unknown=Route.with_rules("", "", rules(None)))


class Generations:
    """The generation in force. Mutable: a reload swaps it; a request keeps the one that it began with."""

    def __init__(self, first: Generation, clock: Clock, drain: Drain) -> None:
        self.current = first
        self._clock = clock
        self._drain = drain

    @property
    def running(self) -> Counter[int]:
        """Requests in flight by the number of the generation that they began with."""
        return Counter(exchange.generation.number for exchange in self._drain.exchanges)

    def pinning(self) -> Middleware:
        """The middleware in which a request begins: it gets its Exchange, on the generation of this moment."""

        @web.middleware
        async def pin(request: web.Request, handler: Handler) -> web.StreamResponse:
            exchange = request[EXCHANGE] = self.begin(request)
            self._drain.enter(exchange)
            try:
                return await handler(request)
            finally:
                self._drain.leave(exchange)
                del request[EXCHANGE]  # each holds the other; apart, both are freed now and not by the collector

        return pin

    def begin(self, request: web.BaseRequest) -> Exchange:
        """A request's record, pinned to the generation in force."""
        exchange = Exchange(request, self.current, self._clock)
        exchange.client = request.remote or "unix"
        return exchange
