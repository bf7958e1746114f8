"""How the gateway and an agent prove to each other who they are (mTLS)."""

import ssl
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from gatewayd.config.settings import AgentTls
from gatewayd.errors import StartError

_SOURCES: Final = ("ca", "certificate", "key")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Peer:
    """Whom an agent must be, and what it is shown. One object for one meaning: connections are pooled by it."""

    context: ssl.SSLContext
    server_name: str | None


@dataclass(slots=True)
class Peers:
    """Mutable: each is made once, and anew when its files have changed since; it goes with the last who has it."""

    _known: WeakValueDictionary[tuple[AgentTls, bytes], Peer] = field(default_factory=WeakValueDictionary)

    def of(self, tls: AgentTls) -> Peer:
        """Raises StartError for files that cannot be used."""
        key = (tls, _contents(tls))
        if (known := self._known.get(key)) is None:
            known = self._known[key] = Peer(agent_context(tls), tls.server_name)
        return known


def agent_context(tls: AgentTls) -> ssl.SSLContext:
    """TLS 1.2 at least, the agent's certificate always judged. Raises StartError."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"tls.ca: cannot use {tls.ca}: {error.strerror or error}") from None
    context.set_alpn_protocols(["http/1.1"])
    if tls.certificate is not None:
        try:
            context.load_cert_chain(tls.certificate, tls.key, password="")  # or OpenSSL asks on the terminal
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or error
            raise StartError(f"tls.certificate: cannot use {tls.certificate} with {tls.key}: {reason}") from None
    return context


def _contents(tls: AgentTls) -> bytes:
    """Differs when a file does: certificates are replaced under their names."""
    digest = sha256()
    for name in _SOURCES:
        path: Path | None = getattr(tls, name)
        try:
            digest.update(b"\0" if path is None else sha256(path.read_bytes()).digest())
        except OSError as error:
            raise StartError(f"tls.{name}: {path}: {(error.strerror or 'cannot be read').lower()}") from None
    return digest.digest()
