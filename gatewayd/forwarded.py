"""Who is at the far end of a chain of proxies, as far as the chain is trusted; and how to extend it. Pure."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from gatewayd.config.settings import Network
from gatewayd.framing import Head

_PAIR: Final = re.compile(r"(?:^|;)\s*(for|proto|host)=(?:\"([^;\",]*)\"|([^;\",]+))", re.IGNORECASE)


@lru_cache(maxsize=4096)
def is_trusted(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether the address lies in one of the networks; what is no address is not trusted."""
    try:
        known = ip_address(address)
    except ValueError:
        return False
    if isinstance(known, IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped  # an IPv4 caller of a socket that listens on both
    return any(known in network for network in networks)


def client_of(peer: str, head: Head, trusted: tuple[Network, ...]) -> str:
    """The nearest address that is not a trusted proxy, read from the peer outwards.

    X-Forwarded-For is read before Forwarded (RFC 7239); what is no address ends the chain, for nobody vouches for it.
    """
    for client in _proved(peer, _hops(head), trusted):
        peer = client
    return peer


def origin_of(peer: str, values: Sequence[bytes], trusted: tuple[Network, ...]) -> dict[str, str]:
    """What Forwarded says of the nearest caller that is no trusted proxy: its `for`, `proto` and `host`, if any."""
    elements = _elements(values)
    known = len(list(_proved(peer, [each.get("for", "") for each in elements], trusted)))
    return elements[-max(known, 1)]


def as_chain(values: Sequence[bytes]) -> list[bytes]:
    """The callers that Forwarded names, as X-Forwarded-For would have said it."""
    return [(_address_of(each.get("for", "")) or "unknown").encode() for each in _elements(values)]


def as_elements(values: Sequence[bytes]) -> list[bytes]:
    """The callers that X-Forwarded-For names, as Forwarded says it (RFC 7239 section 7.4)."""
    return [b"for=" + node(_address_of(hop)).encode() for hop in _split(values)]


def _proved(peer: str, hops: Sequence[str], trusted: tuple[Network, ...]) -> Iterator[str]:
    """The addresses that somebody vouches for, from the nearest on."""
    for hop in reversed(hops):
        if not is_trusted(peer, trusted) or not (peer := _address_of(hop)):
            return
        yield peer


def _hops(head: Head) -> list[str]:
    if (values := head.named.get(b"x-forwarded-for")) is not None:
        return _split(values)
    if (values := head.named.get(b"forwarded")) is not None:
        return [each.get("for", "") for each in _elements(values)]
    return []


def _elements(values: Sequence[bytes]) -> list[dict[str, str]]:
    return [{name.lower(): quoted or bare for name, quoted, bare in _PAIR.findall(each)} for each in _split(values)]


def _split(values: Sequence[bytes]) -> list[str]:
    return b",".join(values).decode("latin-1").split(",")


def _address_of(hop: str) -> str:
    """The address without the port that some proxies add, or nothing if there is none."""
    host = hop.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    return host if _is_address(host) else ""


def _is_address(text: str) -> bool:
    """A scope ("%eth0") may be any text, and means nothing on another machine."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


@lru_cache(maxsize=65536)
def address_group(address: str) -> str:
    """What counts as one unverified caller: an IPv4 address, or the /64 that one IPv6 customer is given."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if isinstance(known, IPv6Address) and known.ipv4_mapped is None:
        return str(ip_network((known, 64), strict=False))
    return str(known.ipv4_mapped or known) if isinstance(known, IPv6Address) else address


def node(address: str) -> str:
    """The address as a Forwarded node identifier (RFC 7239 section 6)."""
    if not address or not _is_address(address):
        return "unknown"
    return f'"[{address}]"' if ":" in address else address


def extended(values: Sequence[bytes] | None, own: bytes) -> bytes:
    """A list field with our element at its end."""
    return b", ".join([*values, own]) if values else own
