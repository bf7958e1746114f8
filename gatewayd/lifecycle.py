"""What generations stand on: a Pool is opened once, and each Generation is built on it (`pinning` swaps them)."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary, finalize

from aiohttp import ClientSession, DummyCookieJar

from gatewayd.books.ledger import LeasedLedger
from gatewayd.books.vault import JOURNALS, node_of
from gatewayd.clock import Clock
from gatewayd.config.settings import AgentTls, CountersSettings, RouteSettings, Settings
from gatewayd.endpoints import OWN
from gatewayd.errors import StartError
from gatewayd.generation import Generation, Stores
from gatewayd.identity.accounts import DirectorySnapshot
from gatewayd.identity.providers import Providers
from gatewayd.identity.remembered import DirectoryFile
from gatewayd.identity.tokens import TokenVerifier
from gatewayd.policies import POLICIES
from gatewayd.policies.crowding import Crowd, CrowdRule
from gatewayd.proxy.balance import Balance
from gatewayd.proxy.connector import AgentConnector
from gatewayd.proxy.rule import forwarding
from gatewayd.proxy.tls import Peer, Peers
from gatewayd.proxy.upstream import Upstream
from gatewayd.routing import Route, RouteTable
from gatewayd.stores.base import Counters
from gatewayd.stores.documents import open_documents
from gatewayd.stores.journal.writer import open_journal
from gatewayd.stores.open import Counting, open_counters
from gatewayd.stores.shared.memory import SharedMemory

# Agents behind common servers drop an idle connection after 5 s; a pooled one must not be older than that.
_POOL_KEEPALIVE: Final = 4.0
_DNS_TTL: Final = 10


class Pool:
    """What outlives a generation: the session with its connections, and the stores.

    Mutable: what a generation needs that was never needed before is added; what no generation needs any more, since
    the last request on it has ended, is closed.
    """

    def __init__(
        self,
        session: ClientSession,
        ledger: LeasedLedger,
        accounts: DirectorySnapshot,
        providers: Providers,
        sharing: Callable[[Settings], Counting],
    ) -> None:
        self.session = session
        self.ledger = ledger
        self.accounts = accounts
        self.providers = providers
        self._sharing = sharing
        self._stores: WeakValueDictionary[tuple[CountersSettings, int], Stores] = WeakValueDictionary()
        self._open: set[Counters] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self.peers = Peers()
        self._crowds: WeakValueDictionary[str, Crowd] = WeakValueDictionary()
        self.upstreams: WeakValueDictionary[tuple[str, Peer | None], Upstream] = WeakValueDictionary()
        self._balances: WeakValueDictionary[tuple[str, tuple[Upstream, ...]], Balance] = WeakValueDictionary()

    def upstream_at(self, url: str, tls: AgentTls | None) -> Upstream:
        """The one Upstream of this address. Raises StartError for files that cannot be used."""
        peer = self.peers.of(tls) if tls is not None else None
        if (known := self.upstreams.get((url, peer))) is None:
            connector = self.session.connector
            assert isinstance(connector, AgentConnector)
            known = self.upstreams[url, peer] = Upstream(url, connector, self._loop, peer)
        return known

    def balance_of(self, route: RouteSettings) -> Balance:
        """The one Balance of this route while its addresses stay the same. Raises StartError."""
        try:
            upstreams = tuple(self.upstream_at(url, route.tls) for url in route.upstream)
        except StartError as error:
            raise StartError(f"routes.{route.name}.{error}") from None
        key = route.name, upstreams
        if (known := self._balances.get(key)) is None:
            known = self._balances[key] = Balance(upstreams)
        return known

    def crowd_of(self, route: str) -> Crowd:
        """Who is on this route, on whatever generation."""
        if (known := self._crowds.get(route)) is None:
            known = self._crowds[route] = Crowd()
        return known

    def stores_for(self, settings: Settings) -> Stores:
        """Those that settings of this kind have already, or new ones, which are closed when nobody has them any more.

        Raises StoreError.
        """
        key = settings.counters, settings.server.workers
        if (stores := self._stores.get(key)) is None:
            counters = open_counters(settings.counters.url.reveal(), self._sharing(settings))
            stores = self._stores[key] = Stores(counters, self.ledger, self.accounts.standing)
            self._open.add(counters)
            finalize(stores, self._loop.call_soon, self._close, counters).atexit = False
        return stores

    def _close(self, counters: Counters) -> None:
        if counters in self._open:
            self._open.remove(counters)
            task = self._loop.create_task(counters.close(), name="closing counters")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Counters that are still in use, at the end; the rest is closed by who opened it."""
        for counters in self._open:
            await counters.close()
        self._open.clear()
        if self._closing:
            await asyncio.wait(self._closing)


async def open_pool(
    settings: Settings, clock: Clock, stack: AsyncExitStack, *, books: Path, counters: SharedMemory
) -> Pool:
    """Open what a worker holds; `stack` closes it again, in reverse. Raises StoreError.

    `books` is where the daemon's bookkeeper listens, `counters` the memory in which its workers count together.
    """
    state = settings.server.state_dir
    node = node_of(state)

    def sharing(newer: Settings) -> Counting:
        return Counting(counters, clock, node, max(1, newer.server.workers), newer.counters.on_outage)

    ledger = LeasedLedger(
        open_journal(state / JOURNALS, gathers=True),
        books,
        clock,
        durability=settings.ledger.durability,
        on_outage=settings.ledger.on_outage,
    )
    stack.push_async_callback(ledger.close)
    await ledger.start()
    accounts = DirectorySnapshot(ledger, file=DirectoryFile(state))
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
    pool = Pool(session, ledger, accounts, providers, sharing)
    stack.push_async_callback(pool.close)
    return pool


def build(number: int, settings: Settings, pool: Pool, clock: Clock, before: Generation | None = None) -> Generation:
    """Everything that a request is judged by, made from the settings; what is the same is taken over from `before`.

    Raises StartError for keys that cannot serve, StoreError for counters that cannot be.
    """
    same_keys = before is not None and before.settings.auth == settings.auth
    return Generation(
        number=number,
        settings=settings,
        routes=route_table(settings, pool),
        verifier=(
            before.verifier
            if before is not None and same_keys
            else TokenVerifier(settings.auth, clock, published=pool.providers.keys_of)
        ),
        stores=pool.stores_for(settings),
    )


def route_table(settings: Settings, pool: Pool, own: Mapping[str, Route] = OWN) -> RouteTable:
    """Each route with the rules that the policies and the proxy read from the settings."""

    def rules(route: RouteSettings | None) -> list[object]:
        return [policy.rule(settings, route) for policy in POLICIES]

    def here(route: RouteSettings) -> list[object | None]:
        crowding = CrowdRule(route.max_in_flight, pool.crowd_of(route.name)) if route.max_in_flight else None
        return [*rules(route), crowding, forwarding(settings, route, pool.balance_of(route))]

    routes = [Route.with_rules(route.name, route.prefix, here(route)) for route in settings.routes.values()]
    return RouteTable(routes, own, unknown=Route.with_rules("", "", rules(None)))
