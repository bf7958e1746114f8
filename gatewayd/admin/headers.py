"""The header fields that every answer to an operator has."""

from typing import Final

from aiohttp import web

# Style and script come from this listener alone, and none of them stands in a page.
SECURITY: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "gatewayd",
}


def dress(response: web.StreamResponse) -> None:
    """Add them where the answer has no such field of its own."""
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
