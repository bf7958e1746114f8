"""Which of an agent's addresses is called next: in turn, and past those that cannot be reached."""

from collections.abc import Sequence

from gatewayd.build import stays_python
from gatewayd.errors import UpstreamConnect, UpstreamTimeout
from gatewayd.proxy.call import Call
from gatewayd.proxy.upstream import Upstream, Way


class Round:
    """Whose turn it is. Mutable: it remembers that."""

    __slots__ = ("_turn", "_ways")

    def __init__(self, ways: list[Way]) -> None:
        self._ways = ways
        self._turn = 0

    def idle(self) -> tuple[Way, Call] | None:
        """An idle connection to the next address, if that has one; then the turn is over."""
        way = self._ways[self._turn]
        if (call := way.idle()) is None:
            return None
        self.pass_on()
        return way, call

    def pass_on(self) -> int:
        """Let the next one have the turn; whose it was."""
        turn = self._turn
        self._turn = (turn + 1) % len(self._ways)
        return turn


@stays_python
class Balance:
    """Round robin over the addresses of one route."""

    __slots__ = ("__weakref__", "round", "upstreams")

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self.upstreams = tuple(upstreams)
        self.round = Round([upstream.way for upstream in upstreams])

    async def connect(self, timeout: float) -> tuple[Way, Call]:
        """A connection to the next address that gives one; `timeout` is for each.

        Raises what the last one raised: UpstreamConnect or UpstreamTimeout. Nothing was sent to any.
        """
        *others, last = self._in_turn()
        for upstream in others:
            try:
                return upstream.way, await upstream.connect(timeout)
            except (UpstreamConnect, UpstreamTimeout):
                continue
        return last.way, await last.connect(timeout)

    def _in_turn(self) -> tuple[Upstream, ...]:
        first = self.round.pass_on()
        return self.upstreams[first:] + self.upstreams[:first]
