"""Which of an agent's addresses is called next: in turn, and past those that cannot be reached."""

from collections.abc import Sequence

from gatewayd.build import stays_python
from gatewayd.errors import UpstreamConnect, UpstreamTimeout
from gatewayd.proxy.call import Call
from gatewayd.proxy.upstream import Upstream


@stays_python
class Balance:
    """Round robin over the addresses of one route. Mutable: it remembers whose turn it is."""

    __slots__ = ("__weakref__", "_turn", "upstreams")

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self.upstreams = tuple(upstreams)
        self._turn = 0

    def idle(self) -> tuple[Upstream, Call] | None:
        """An idle connection to the next address, if that has one; then the turn is over."""
        upstream = self.upstreams[self._turn]
        if (call := upstream.idle()) is None:
            return None
        self._turn = (self._turn + 1) % len(self.upstreams)
        return upstream, call

    async def connect(self, timeout: float) -> tuple[Upstream, Call]:
        """A connection to the next address that gives one; `timeout` is for each.

        Raises what the last one raised: UpstreamConnect or UpstreamTimeout. Nothing was sent to any.
        """
        *others, last = self._in_turn()
        for upstream in others:
            try:
                return upstream, await upstream.connect(timeout)
            except (UpstreamConnect, UpstreamTimeout):
                continue
        return last, await last.connect(timeout)

    def _in_turn(self) -> tuple[Upstream, ...]:
        first = self._turn
        self._turn = (first + 1) % len(self.upstreams)
        return self.upstreams[first:] + self.upstreams[:first]
