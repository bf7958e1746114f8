"""What the public listeners show to callers who come with TLS."""

import ssl

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
