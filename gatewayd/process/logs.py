"""A worker's logs: which line of which request goes where, and how many could not be written."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from gatewayd.audit import is_refusal, missing_line, refusal_line
from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.errors import StartError
from gatewayd.exchange import Exchange
from gatewayd.policies.access_log import is_wanted
from gatewayd.policies.log_line import line
from gatewayd.sink import LineSink

ACCESS: Final = "access"
AUDIT: Final = "audit"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a reload will write to: all places by the log's name, and the sinks that are new."""

    targets: dict[str, str]
    fresh: dict[str, LineSink]


class Logs:
    """The sinks of one worker. Mutable: a reload may put others in their places."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._targets: dict[str, str] = {}
        self._sinks: dict[str, LineSink] = {}
        self._access: LineSink | None = None  # of these, for each request to have at hand
        self._dropped: dict[tuple[str, str], int] = {}  # by sinks that are closed

    async def open(self, settings: Settings, stack: AsyncExitStack) -> None:
        """Open what the settings name; `stack` closes it, with what `adopt` opened. Raises StartError."""
        stack.push_async_callback(self.close)
        await self.adopt(settings)

    async def adopt(self, settings: Settings) -> None:
        """Be where the settings say: open, close, and look for files by their names again.

        Raises StartError for a place that cannot be opened, and leaves everything as it was.
        """
        await self.commit(await self.prepare(settings))

    async def prepare(self, settings: Settings) -> Opened:
        """Open what the settings name and is not open yet. Raises StartError, and has opened nothing then."""
        targets = {ACCESS: settings.access_log.file, AUDIT: settings.audit_log.file}
        opened = Opened(targets, {})
        failure: StartError | None = None
        try:
            for name, target in targets.items():
                if target and target != self._targets.get(name):
                    opened.fresh[name] = self._open(name, target)
        except StartError as error:
            failure = error
        if failure is not None:  # out here, because nothing that is compiled may wait while it handles an error
            await self.discard(opened)
            raise failure
        return opened

    async def commit(self, opened: Opened) -> None:
        """Write there from now on; files that stay are looked for by their names again."""
        self.reopen()
        gone = [self._sinks.pop(name) for name in list(self._sinks) if self._targets[name] != opened.targets[name]]
        self._sinks.update(opened.fresh)
        self._targets = opened.targets
        self._access = self._sinks.get(ACCESS)
        for sink in gone:
            await self._end(sink)

    async def discard(self, opened: Opened) -> None:
        """Close what was opened."""
        for sink in opened.fresh.values():
            await sink.close()

    def _open(self, name: str, target: str) -> LineSink:
        try:
            return LineSink(target, name=name, notice=lambda count: missing_line(self._clock.utc(), count))
        except OSError as error:
            raise StartError(f"{name}_log.file: cannot open {target}: {error.strerror}") from None

    def reopen(self) -> None:
        """After a rotation: go on in the files that have the names now."""
        for sink in self._sinks.values():
            sink.reopen()

    def report(self, exchange: Exchange) -> None:
        """Write what there is to say of an ended request."""
        access = self._access
        if access is not None and is_wanted(exchange):
            access.write(line(exchange))
        if exchange.code and (audit := self._sinks.get(AUDIT)) is not None and is_refusal(exchange):
            audit.write(refusal_line(exchange))

    def dropped(self) -> list[list[Any]]:
        """Lines that were not written, as samples labelled by log and by why: `full` or `failed`."""
        total = dict(self._dropped)
        for sink in self._sinks.values():
            _count(total, sink)
        return [[list(labels), count] for labels, count in sorted(total.items())]

    async def close(self) -> None:
        """Write what was taken."""
        for sink in list(self._sinks.values()):
            await self._end(sink)
        self._sinks.clear()
        self._access = None

    async def _end(self, sink: LineSink) -> None:
        await sink.close()
        _count(self._dropped, sink)


def _count(total: dict[tuple[str, str], int], sink: LineSink) -> None:
    for reason, count in (("full", sink.overflowed), ("failed", sink.lost)):
        total[sink.name, reason] = total.get((sink.name, reason), 0) + count
