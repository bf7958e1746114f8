"""One agent's address: aiohttp's connections, without its client on top."""

import asyncio
from typing import Final

from aiohttp import ClientConnectionError, ClientRequest
from yarl import URL

from gatewayd.build import stays_python
from gatewayd.errors import UpstreamConnect, UpstreamTimeout
from gatewayd.framing import Target
from gatewayd.proxy.call import Call
from gatewayd.proxy.connector import AgentConnector
from gatewayd.proxy.idle import Idle
from gatewayd.proxy.tls import Peer
from gatewayd.routing import LONGEST_KEPT

_KEPT: Final = 1024


def target_below(base: URL, suffix: str, query: str) -> str:
    """What stands in the request line for `suffix` and `query` below a base URL."""
    return (base.raw_path.rstrip("/") + suffix or "/") + query


class _Begun:
    """How the head began that last asked for a path, and what else it was: method, query, and the route's prefix."""

    __slots__ = ("method", "prefix", "query", "said")

    def __init__(self, method: str, prefix: str, query: str, said: bytes) -> None:
        self.method = method
        self.prefix = prefix
        self.query = query
        self.said = said


class Way:
    """What a call goes by that finds a connection in the pool."""

    __slots__ = ("_base", "_begun", "_idle", "authority")

    def __init__(self, url: URL, idle: Idle) -> None:
        self.authority = url.raw_authority.encode()
        self._base = url.raw_path.rstrip("/")
        self._idle = idle
        self._begun: dict[str, _Begun] = {}  # by path; emptied when it is full

    def target(self, suffix: str, query: str) -> bytes:
        """The request target at the agent: its base path, then what followed the route's prefix, byte for byte."""
        return ((self._base + suffix or "/") + query).encode("ascii")

    def begin(self, method: str, target: Target, prefix: str) -> bytes:
        """The first two lines of a request's head: what is asked, without the route's prefix, and of whom.

        Most of what is asked was asked before, and is remembered if it is not long: callers choose it.
        """
        path, query = target.path, target.query
        known = self._begun.get(path)
        if known is not None and known.query == query and known.method == method and known.prefix == prefix:
            return known.said
        below = self.target(path[len(prefix) :], query)
        said = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method.encode(), below, self.authority)
        if len(path) + len(query) <= LONGEST_KEPT:
            if len(self._begun) >= _KEPT:
                self._begun.clear()
            self._begun[path] = _Begun(method, prefix, query, said)
        return said

    def idle(self) -> Call | None:
        """A call on a connection that was idle, if there is one."""
        if (connection := self._idle.take()) is None:
            return None
        return Call(self._idle, connection)


@stays_python
class Upstream:
    """An agent's base URL, with everything that calls to it share."""

    __slots__ = ("__weakref__", "_address", "_connector", "_dial", "url", "way")

    def __init__(
        self, url: str, connector: AgentConnector, loop: asyncio.AbstractEventLoop, peer: Peer | None = None
    ) -> None:
        """`peer` is how the agent proves who it is; without one, by a certificate from the system's authorities."""
        self.url = URL(url)
        self._connector = connector
        # Names the peer to the pool (host, port, TLS) and is never sent.
        self._dial = ClientRequest(
            "GET",
            self.url,
            loop=loop,
            ssl=peer.context if peer is not None else True,
            server_hostname=peer.server_name if peer is not None else None,
        )
        self._address = connector.address(self._dial.connection_key)
        self.way = Way(self.url, self._address.idle)

    async def connect(self, timeout: float) -> Call:
        """A call on an idle connection, or on a new one within `timeout` seconds (0: however long it takes).

        Raises UpstreamConnect, UpstreamTimeout.
        """
        if (call := self.way.idle()) is not None:
            return call
        try:
            async with asyncio.timeout(timeout or None):
                return Call(self._address.idle, await self._connector.dial(self._dial))
        except TimeoutError:
            raise UpstreamTimeout("The agent did not accept the connection in time.") from None
        except (ClientConnectionError, OSError):
            raise UpstreamConnect from None
