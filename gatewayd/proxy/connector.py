"""The pool of connections to agents: aiohttp's, but each connection hears to the end, and remembers it."""

import os
from functools import partial
from time import monotonic
from typing import Any, Final

from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection

from gatewayd.trailers import Fields, heard, section

_READ: Final = 64 * 1024
_MAX_FIELD: Final = 32 * 1024
_MAX_FIELDS: Final = 256
_LAST_READS: Final = 4


class AgentProtocol(ResponseHandler):
    """One connection to an agent. The last bytes of an answer are kept while it may turn out to have trailers."""

    _listening = False
    _last = b""
    _parses_on = False

    def expect(self, *, bodiless: bool) -> None:
        """What comes now is an answer, and may be the end of a chunked one; `bodiless` for HEAD's.

        The last answer's parser goes on to parse this one, unless it was spent.
        """
        self._listening = True
        if self._parses_on and not bodiless:
            return
        self._parses_on = not bodiless
        self.set_response_params(
            skip_payload=bodiless,
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=0.0,
            read_bufsize=_READ,
            max_line_size=_MAX_FIELD,
            max_field_size=_MAX_FIELD,
            max_headers=_MAX_FIELDS,
        )

    def spend(self) -> None:
        """The next answer gets a new parser: behind a chunked one, aiohttp's takes its trailers for the next head."""
        self._parses_on = False

    def stop_listening(self) -> None:
        """What comes now belongs to no answer."""
        self._listening = False

    def forget(self) -> None:
        """There will be no trailers to ask for."""
        self._listening = False
        self._last = b""

    def trailers(self) -> Fields:
        """The trailer fields of the chunked answer that has just ended. Raises what `section` raises."""
        return section(self._last)

    def data_received(self, data: bytes) -> None:
        if self._listening:
            self._last = heard(self._last, data)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        if isinstance(exc, OSError):
            self._hear_last_words()
        super().connection_lost(exc)

    def _hear_last_words(self) -> None:
        """An agent that answers an upload early and closes makes our next write fail, and the loop read no more.

        The answer has come, though, and the socket is open until its protocol knows that it is lost.
        """
        transport = self.transport
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return
        try:
            for _ in range(_LAST_READS):
                if not (data := os.read(transport.get_extra_info("socket").fileno(), _READ)):
                    return
                self.data_received(data)
        except OSError:
            return


class AgentConnector(TCPConnector):
    """aiohttp's pool, of our connections."""

    def __init__(self, *, keepalive_timeout: float = 15.0, **options: Any) -> None:
        super().__init__(keepalive_timeout=keepalive_timeout, **options)
        self.keeps = keepalive_timeout
        self._factory = partial(AgentProtocol, loop=self._loop)  # type: ignore[assignment]  # its kind

    def idle(self, key: ConnectionKey) -> Connection | None:
        """The pooled connection that was used last, if it can be used at once: what `connect` gives, not awaited."""
        if (pooled := self._conns.get(key)) is None:
            return None
        protocol, since = pooled[-1]
        if not protocol.is_connected() or monotonic() - since > self.keeps:
            return None
        pooled.pop()
        if not pooled:
            del self._conns[key]
        self._acquired.add(protocol)
        return Connection(self, key, protocol, self._loop)
