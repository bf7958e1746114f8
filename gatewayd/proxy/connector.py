"""The pool of connections to agents: aiohttp's, but each connection hears to the end, and remembers it."""

import os
from functools import partial
from typing import Any, Final

from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler

from gatewayd.trailers import Fields, heard, section

_READ: Final = 64 * 1024
_LAST_READS: Final = 4


class AgentProtocol(ResponseHandler):
    """One connection to an agent. The last bytes of an answer are kept while it may turn out to have trailers."""

    _listening = False
    _last = b""

    def listen(self) -> None:
        """From now on what comes may be the end of a chunked answer."""
        self._listening = True

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

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(AgentProtocol, loop=self._loop)  # type: ignore[assignment]  # its kind
