"""Who may look, and who looked: anybody on loopback, elsewhere whoever has a token; both end up in the audit log."""

import asyncio
import hmac
import logging
from base64 import b64decode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from ipaddress import ip_address
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from gatewayd.audit import action_line, append
from gatewayd.clock import Clock
from gatewayd.config.settings import AdminSettings
from gatewayd.errors import TokenInvalid
from gatewayd.identity.base import bearer_token
from gatewayd.keys import secret_bytes
from gatewayd.outlets import LinesLost

log: Final = logging.getLogger(__name__)

ADMIN: Final = "admin"
"""By whom things are done with `admin.token`, which has no name of its own."""
LOOPBACK: Final = "anybody on this machine"
REFUSALS: Final = 10
"""Refusals a minute that are written each; more of them are counted."""
# What is looked at all the time, by pages and by monitoring, and shows nobody's own affairs.
_WATCHED: Final = frozenset({"/", "/live", "/metrics", "/api/overview", "/api/status"})
_STATIC: Final = "/static/"
# The second is for browsers, which ask their user (RFC 7617). No page elsewhere can make them act: all is read only.
_CHALLENGES: Final = CIMultiDict(
    [
        ("WWW-Authenticate", 'Bearer realm="gatewayd admin"'),
        ("WWW-Authenticate", 'Basic realm="gatewayd admin", charset="UTF-8"'),
    ]
)


class Access:
    """The admin listener's door. Mutable: it counts whom it refused."""

    def __init__(self, settings: AdminSettings, audit_log: str, clock: Clock) -> None:
        """`audit_log` is where lines go (`audit_log.file`)."""
        named = {**({ADMIN: settings.token} if settings.token is not None else {}), **settings.tokens}
        self._digests = {name: _digest(secret_bytes(token.reveal())) for name, token in named.items()}
        self._local = settings.listen.kind == "unix"
        self._audit_log = audit_log
        self._clock = clock
        self._minute = 0
        self._refused = 0

    async def admit(self, request: web.Request) -> None:
        """Let the request in, and note who asked for what. Raises HTTPUnauthorized or HTTPForbidden."""
        by = self._proved(request) if self._digests else LOOPBACK
        if by is None:
            await self._note_refusal(request)
            raise web.HTTPUnauthorized(headers=_CHALLENGES)
        if not self._digests and not self._local and not _names_this_machine(request):
            await self._note_refusal(request)
            raise web.HTTPForbidden(text="Without an admin.token, this is for this machine only, by its own names.")
        if request.path not in _WATCHED and not request.path.startswith(_STATIC):
            await self._note(request, by, "done", {})

    def _proved(self, request: web.Request) -> str | None:
        """The name of the token that was sent; all of them are compared, however early one is found."""
        try:
            sent = _sent(request.headers.getall("Authorization", ()))
        except (TokenInvalid, ValueError):
            return None
        digest = _digest((sent or "").encode())
        found = [name for name, known in self._digests.items() if hmac.compare_digest(digest, known)]
        return found[0] if sent is not None and found else None

    async def _note_refusal(self, request: web.Request) -> None:
        minute = int(self._clock.monotonic() // 60)
        if minute != self._minute:
            self._minute, more, self._refused = minute, max(0, self._refused - REFUSALS), 0
        else:
            more = 0
        self._refused += 1
        if self._refused <= REFUSALS:
            await self._note(request, "nobody", "refused", {"not_written_before": more} if more else {})

    async def _note(self, request: web.Request, by: str, result: str, more: Mapping[str, object]) -> None:
        """What is shown is shown all the same when that cannot be written."""
        subject = {"method": request.method, "path": request.path, **_about(request), **more}
        origin = request.remote or "unix"
        line = action_line(self._clock.utc(), "admin request", subject, by=by, origin=origin, result=result)
        try:
            await asyncio.to_thread(append, self._audit_log, line)
        except LinesLost as error:
            log.warning("audit_log.file: %s cannot be written: %s", self._audit_log, error)


def _sent(authorization: Sequence[str]) -> str | None:
    """The token, as a bearer's or as the password of whatever user name. Raises TokenInvalid or ValueError."""
    if len(authorization) == 1 and authorization[0][:6].lower() == "basic ":
        return b64decode(authorization[0][6:], validate=True).decode().partition(":")[2]
    return bearer_token(authorization)


def _digest(token: bytes) -> bytes:
    """Of one length, so that a comparison tells nothing of the token's."""
    return sha256(token).digest()


def _about(request: web.Request) -> dict[str, str]:
    """Whose affairs were asked for."""
    return {name: request.query[name][:256] for name in ("user", "of", "period", "by") if name in request.query}


def _names_this_machine(request: web.Request) -> bool:
    """Whether the request was meant for here: a page elsewhere can make its own name lead to 127.0.0.1."""
    hosts = request.headers.getall("Host", ())
    if len(hosts) != 1:
        return False
    host = hosts[0].rpartition(":")[0] if hosts[0].rpartition(":")[2].isdigit() else hosts[0]
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
