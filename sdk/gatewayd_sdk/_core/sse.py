"""Server-sent events from bytes as they arrive (WHATWG HTML, section 9.2.6), however they were cut."""

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from gatewayd_sdk._core.errors import APIResponseError

MOST_EVENT: Final = 16 * 1024 * 1024
"""Characters that one event may have: a stream that never ends one must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name (`message` when it has none), its data, the last id, and the pause it asks for in ms."""

    name: str
    data: str
    id: str = ""
    retry: int | None = None

    def json(self) -> Any:
        """The data as JSON; raises `APIResponseError` when it is none."""
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError) as error:
            raise APIResponseError(f"the data of the event {self.name!r} is not JSON") from error


class EventDecoder:
    """Bytes in, events out: the same events for the same bytes, wherever they were cut.

    An event that the end of the bytes cuts off is dropped, as the standard says.
    """

    def __init__(self, most: int = MOST_EVENT) -> None:
        self._most = most
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._began = False
        self._line: list[str] = []
        self._after_cr = False
        self._data: list[str] = []
        self._size = 0
        self._name = ""
        self._id = ""
        self._retry: int | None = None

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that these bytes complete; raises `APIResponseError` for one that is too long."""
        text = self._decode(chunk)
        if not text:
            return
        if not self._began:
            self._began = True
            text = text.removeprefix("\ufeff")
        for line in self._lines(text):
            if line:
                self._field(line)
            elif (event := self._dispatch()) is not None:
                yield event

    def _lines(self, text: str) -> Iterator[str]:
        """The lines that end in this text; CR, LF and CRLF end one, and nothing else does."""
        if self._after_cr and text:
            self._after_cr = False
            text = text.removeprefix("\n")
        if text.endswith("\r"):
            self._after_cr = True
        *ended, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in ended:
            self._grow(len(line))
            yield "".join((*self._line, line))
            self._line.clear()
        if rest:
            self._grow(len(rest))
            self._line.append(rest)

    def _grow(self, count: int) -> None:
        self._size += count
        if self._size > self._most:
            raise APIResponseError(f"an event of the stream is longer than {self._most} characters")

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit() and len(value) < 16:
            self._retry = int(value)

    def _dispatch(self) -> Event | None:
        """The event that a blank line ends; without data there is none."""
        event = Event(self._name or "message", "\n".join(self._data), self._id, self._retry) if self._data else None
        self._data.clear()
        self._name = ""
        self._size = 0
        self._retry = None
        return event
