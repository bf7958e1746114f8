"""A client that fetches pages from this machine and from nowhere else, whatever a URL or a redirect says."""

import asyncio
import socket
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gatewayd.demo.fields import Fault

MOST_REDIRECTS: Final = 5
_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_READABLE: Final = frozenset({"text/html", "application/xhtml+xml", "text/plain"})
_REQUEST_HEADERS: Final = {"User-Agent": "gatewayd-demo-scraper", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page as it came; `url` is where the redirects ended."""

    url: str
    status: int
    content_type: str
    text: str


def loopback_url(text: str, refused_ports: Collection[int] = ()) -> URL:
    """The address, if it is http and names this machine's loopback literally or as localhost; else a `Fault`."""
    try:
        url = URL(text)
        port = url.port
    except ValueError as error:
        raise Fault(400, "invalid_url", "url is not a URL") from error
    if url.scheme != "http" or url.host is None or url.user is not None or url.password is not None:
        raise Fault(400, "invalid_url", "url must be http://HOST[:PORT]/PATH, without a user name")
    if not _is_loopback(url.host):
        raise Fault(400, "not_loopback", "only pages on localhost, 127.0.0.0/8 and [::1] are fetched")
    if port in refused_ports:
        raise Fault(400, "port_refused", "pages on this port are not fetched")
    return url


def _is_loopback(host: str) -> bool:
    """Only spellings that mean the same everywhere: no `127.1`, no decimal or mapped address, no other name."""
    try:
        return host.lower() == "localhost" or any(ip_address(host) in network for network in _LOOPBACK)
    except ValueError:
        return False


class LoopbackResolver(AbstractResolver):
    """Knows one name and asks nobody about the others."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host.lower() != "localhost":
            raise OSError("not a name of this machine")
        addresses = [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for address, kind in addresses
            if family in (kind, socket.AF_UNSPEC)
        ]

    async def close(self) -> None:
        """Nothing is held open."""


class LoopbackClient:
    """Fetches text; `seconds` bounds a fetch with its redirects, `most` the bytes of a page."""

    def __init__(self, *, seconds: float, most: int, refused_ports: Collection[int]) -> None:
        self._seconds = seconds
        self._most = most
        self._refused_ports = refused_ports
        self._session = ClientSession(
            connector=TCPConnector(resolver=LoopbackResolver(), limit=20),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=seconds),
            headers=_REQUEST_HEADERS,
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def fetch(self, url: URL) -> Fetched:
        """Raises `Fault`: 504 when it takes too long, 502 for what cannot be fetched or read, 400 for a way out."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(url)
        except TimeoutError as error:
            raise Fault(504, "fetch_timeout", "the page did not arrive in time") from error
        except (ClientError, OSError, ValueError) as error:
            raise Fault(502, "fetch_failed", "the page cannot be fetched") from error

    async def _follow(self, url: URL) -> Fetched:
        for _ in range(MOST_REDIRECTS + 1):
            async with self._session.get(url, allow_redirects=False) as response:
                target = response.headers.get("Location")
                if response.status not in _REDIRECTS or target is None:
                    return await self._read(response)
                url = loopback_url(str(url.join(URL(target))), self._refused_ports)
        raise Fault(502, "too_many_redirects", f"the page redirects more than {MOST_REDIRECTS} times")

    async def _read(self, response: ClientResponse) -> Fetched:
        if response.content_type not in _READABLE or response.headers.get("Content-Encoding", "identity") != "identity":
            raise Fault(502, "not_a_page", "the address has no plain HTML or text")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._most:
                raise Fault(502, "page_too_large", f"the page is longer than {self._most} bytes")
        text = body.decode(_charset(response), "replace")
        return Fetched(str(response.url), response.status, response.content_type, text)


def _charset(response: ClientResponse) -> str:
    return "iso-8859-1" if (response.charset or "").lower() in ("iso-8859-1", "latin-1") else "utf-8"
