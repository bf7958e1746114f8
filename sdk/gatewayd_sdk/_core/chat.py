"""A streamed answer of the rag agent: its events as they come, and whether it was whole."""

from collections.abc import Iterator

from gatewayd_sdk._core.answers import Answer, response_error
from gatewayd_sdk._core.errors import APIConnectionError
from gatewayd_sdk._core.records import Mismatch, Usage, usage_of
from gatewayd_sdk._core.results import ChatAnswer, ChatEvent, Source
from gatewayd_sdk._core.sse import Event, EventDecoder


def check_events(answer: Answer) -> None:
    """Raises APIResponseError for an answer that is no stream of events."""
    if answer.kind != "text/event-stream":
        raise response_error(
            f"the answer is no stream of events but {answer.kind or 'of no type'}; iter_bytes() gives any body",
            answer,
        )


class Transcript:
    """Bytes in, chat events out; remembers what was said so far. Mutable: it grows."""

    def __init__(self, answer: Answer) -> None:
        check_events(answer)
        self._answer = answer
        self._decoder = EventDecoder()
        self._words: list[str] = []
        self._details: object = None
        self.sources: tuple[Source, ...] = ()
        self.done = False

    @property
    def text(self) -> str:
        return "".join(self._words)

    @property
    def usage(self) -> Usage:
        return usage_of(self._answer, self._details)

    def feed(self, data: bytes) -> Iterator[ChatEvent]:
        """The events that these bytes complete; raises APIResponseError for an error that the agent sent as one."""
        for event in self._decoder.feed(data):
            yield self._take(event)

    def _take(self, event: Event) -> ChatEvent:
        read = self._read(event)
        if read.type == "error":
            facts = read.extra.get("error", read.extra)
            raise response_error(f"the agent broke off its answer: {facts}", self._answer)
        if read.text:
            self._words.append(read.text)
        if read.sources:
            self.sources = read.sources
        if read.type == "done":
            self.done, self._details = True, read.extra.get("usage")
        return read

    def _read(self, event: Event) -> ChatEvent:
        document = event.json()
        members = document if isinstance(document, dict) else {"data": document}
        try:
            return ChatEvent.read({**members, "type": event.name})
        except Mismatch as error:
            raise response_error(f"the event {event.name!r} is not what it must be: {error}", self._answer) from error

    def end(self) -> None:
        """Says that no bytes follow; raises APIConnectionError if there was no last event."""
        if not self.done:
            raise APIConnectionError(
                "the stream ended before its last event: what came so far is in .text, and is not the whole answer"
            )

    def result(self) -> ChatAnswer:
        """All of it, as the call without `stream` would have returned it."""
        extra = {"usage": self._details} if self._details is not None else {}
        return ChatAnswer(raw=self._answer, answer=self.text, sources=self.sources, extra=extra)
