"""What the public listeners show to callers who come with TLS."""

import ssl
from dataclasses import dataclass, field
from hashlib import sha256

from gatewayd.config.settings import Tls
from gatewayd.errors import StartError


def tls_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.2 at least, and HTTP/1.1 for those who ask. Raises StartError for files that do not belong together."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key, password="")  # or OpenSSL asks on the terminal
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"server.tls: cannot use {tls.certificate} with {tls.key}: {error.strerror}") from None
    return context


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is shown, or nothing. Equal are those whose files had the same content."""

    context: ssl.SSLContext | None = field(compare=False)
    content: str


def certificate(tls: Tls | None) -> Certificate:
    """What the files say now. Raises StartError if they do not belong together."""
    return Certificate(tls_context(tls) if tls is not None else None, fingerprint(tls))


def fingerprint(tls: Tls | None) -> str:
    """Tells one content of the files from another; empty without TLS. Raises StartError if they are not there."""
    if tls is None:
        return ""
    digest = sha256()
    for path in (tls.certificate, tls.key):
        try:
            digest.update(sha256(path.read_bytes()).digest())
        except OSError as error:
            raise StartError(f"server.tls: cannot read {path}: {error.strerror}") from None
    return digest.hexdigest()
