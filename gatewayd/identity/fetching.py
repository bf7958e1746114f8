"""One document of an identity provider, fetched: bounded in time and size, and only from where it was asked for."""

import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout

from gatewayd.errors import GatewayError, StartError
from gatewayd.identity.jwk import MAX_BYTES, read_object

# Compressed answers are not asked for: a small one could be a large document. No cache on the way may answer with what
# it kept: a key that is not in there may be published (RFC 9111 section 5.2.1.4).
_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Cache-Control": "no-cache",
    "User-Agent": "gatewayd",
}
# What providers and plain file servers call a JSON document; an error page of a proxy is none of them.
_TYPES: Final = frozenset({"", "text/plain", "application/octet-stream"})


class Unfetched(GatewayError):
    """A document could not be had; the message says why, for the log."""


def place(url: str) -> str:
    """The URL for logs: without its query, which may hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def trust(ca: Path | None) -> ssl.SSLContext | bool:
    """Whose certificates a provider may have: those of the authorities in the file, else the system's."""
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"jwks.ca: cannot use {ca}: {error.strerror or error}") from None


async def fetch(session: ClientSession, url: str, *, timeout: float, tls: ssl.SSLContext | bool = True) -> bytes:
    """The body of a 200 answer, of at most MAX_BYTES, within `timeout` seconds. Raises Unfetched.

    Nothing is followed: whoever can make a provider redirect would otherwise choose whose keys are believed.
    """
    try:
        async with session.get(
            url, headers=_HEADERS, timeout=ClientTimeout(total=timeout), ssl=tls, allow_redirects=False
        ) as answer:
            if 300 <= answer.status < 400:
                raise Unfetched(f"{place(url)} redirects, which is not followed")
            if answer.status != 200:
                raise Unfetched(f"{place(url)} answered {answer.status}")
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if kind not in _TYPES and not kind.endswith(("/json", "+json")):
                raise Unfetched(f"{place(url)} answered with something that is not JSON")
            if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise Unfetched(f"{place(url)} answered compressed, which was not asked for")
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > MAX_BYTES:
                    raise Unfetched(f"{place(url)} answered with more than {MAX_BYTES // 1024} KiB")
            return bytes(body)
    except TimeoutError:
        raise Unfetched(f"{place(url)} did not answer within {timeout:g} s") from None
    except (ClientError, OSError, ValueError) as error:
        raise Unfetched(f"{place(url)} cannot be reached: {type(error).__name__}") from None


def discovery_url(issuer: str) -> str:
    """OpenID Connect Discovery 1.0 section 4."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def jwks_url_in(document: bytes, issuer: str) -> str:
    """Where the issuer's keys are, as it says itself. Raises Unusable and Unfetched.

    Its document must be its own (section 4.3), and must not lead from https to less.
    """
    members = read_object(document)
    if members.get("issuer") != issuer:
        raise Unfetched(f"the document at {place(discovery_url(issuer))} is of another issuer")
    url = members.get("jwks_uri")
    schemes = ("https://",) if issuer.startswith("https:") else ("https://", "http://")
    if not isinstance(url, str) or not url.startswith(schemes) or not urlsplit(url).hostname:
        raise Unfetched(f"the document at {place(discovery_url(issuer))} names no jwks_uri that can be used")
    return url
