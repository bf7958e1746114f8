"""`AsyncGateway`: the agents behind a gatewayd, for asyncio."""

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self, TypeAlias

from gatewayd_sdk._asyncio import resources
from gatewayd_sdk._asyncio.caller import AsyncCaller
from gatewayd_sdk._asyncio.opening import OpeningEvents
from gatewayd_sdk._asyncio.raw import AsyncRawGateway
from gatewayd_sdk._asyncio.streams import AsyncResponseStream
from gatewayd_sdk._asyncio.tokens import Tokens
from gatewayd_sdk._asyncio.transport import AiohttpTransport
from gatewayd_sdk._core import calls, results
from gatewayd_sdk._core.exchange import Chance
from gatewayd_sdk._core.options import Timeout
from gatewayd_sdk._core.pacing import Pacer
from gatewayd_sdk._core.requests import Query, Request, any_request
from gatewayd_sdk._core.setup import TLS, read_address, read_setup
from gatewayd_sdk._core.sse import Event

Token: TypeAlias = str | Callable[[], str | Awaitable[str]]


class AsyncGateway:
    """The agents behind a gatewayd, for asyncio. Use it as a context manager, or close it.

    `base_url` and `token` are taken from GATEWAYD_BASE_URL and GATEWAYD_TOKEN when they are not given. A callable as
    token is asked when there is none yet, and again when the gateway refuses the one there is. `proxy` is the URL of an
    HTTP proxy, "" for none; otherwise HTTP_PROXY, HTTPS_PROXY and NO_PROXY decide. `tls` is a context, or names a PEM
    file of CAs to trust. A `pacer` slows down before the gateway refuses. `chance` is time and luck, for tests.
    GATEWAYD_LOG (debug, info, warning, error) writes to stderr. Each method raises `GatewayError`s only.
    """

    def __init__(
        self,
        base_url: str | None = None,
        token: Token | None = None,
        *,
        timeout: Timeout | float | None = None,
        max_retries: int = 2,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        tls: TLS = None,
        max_connections: int = 100,
        pacer: Pacer | None = None,
        chance: Chance | None = None,
    ) -> None:
        address = read_address(base_url, proxy, tls, max_connections)
        setup = read_setup(token, timeout, max_retries, headers, pacer, chance)
        self.base_url = address.base_url
        tokens = None if setup.refresh is None else Tokens(setup.refresh)
        self._caller = AsyncCaller(setup, AiohttpTransport(address), tokens)

    @property
    def email(self) -> resources.AsyncEmail:
        """Letters: read, answered, remembered."""
        return resources.AsyncEmail(self._caller)

    @property
    def rag(self) -> resources.AsyncRag:
        """Questions to documents."""
        return resources.AsyncRag(self._caller)

    @property
    def scraper(self) -> resources.AsyncScraper:
        """Pages read."""
        return resources.AsyncScraper(self._caller)

    @property
    def support(self) -> resources.AsyncSupport:
        """Customers answered, and their tickets."""
        return resources.AsyncSupport(self._caller)

    @property
    def aiops(self) -> resources.AsyncAIOps:
        """Metrics read."""
        return resources.AsyncAIOps(self._caller)

    @property
    def usage(self) -> resources.AsyncUsage:
        """The caller's own balances."""
        return resources.AsyncUsage(self._caller)

    @property
    def agents(self) -> resources.AsyncAgents:
        """What is behind the gateway."""
        return resources.AsyncAgents(self._caller)

    @property
    def with_raw_response(self) -> AsyncRawGateway:
        """The same methods, giving the answer as it came: `.status`, `.headers`, `.content`, and `.parse()`."""
        return AsyncRawGateway(self._caller)

    def with_options(
        self,
        *,
        token: Token | None = None,
        timeout: Timeout | float | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """A client with other options over the same connections; `headers` are added to those there are.

        Closing either closes both. In a web worker, `token` lets each request be its own user's.
        """
        setup = self._caller.setup.altered(timeout, max_retries, headers)
        tokens = self._caller.tokens
        if token is not None:
            setup = setup.signed(token)
            tokens = None if setup.refresh is None else Tokens(setup.refresh)
        other = type(self).__new__(type(self))
        vars(other).update(vars(self), _caller=AsyncCaller(setup, self._caller.transport, tokens))
        return other

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object | None = None,
        content: bytes | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> results.Response:
        """Calls any route: `json` or `content` is the body. Raises like every method."""
        request = any_request(method, path, json=json, content=content, query=query, headers=headers)
        return await self._caller.call(calls.any_route(request))

    def stream(
        self,
        method: str,
        path: str,
        *,
        json: object | None = None,
        content: bytes | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> OpeningEvents[AsyncResponseStream, Event]:
        """Calls any route, and gives its answer while it comes: events, or bytes. Raises like every method."""
        request = any_request(method, path, json=json, content=content, query=query, headers=headers)
        return OpeningEvents(lambda: self._stream(request))

    async def _stream(self, request: Request) -> AsyncResponseStream:
        return AsyncResponseStream(await self._caller.open(request, "stream"))

    async def close(self) -> None:
        """Closes all connections, also for the clients that `with_options` made."""
        await self._caller.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
