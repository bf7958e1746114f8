"""Which of an agent's addresses is called next: in turn, and past those that cannot be reached."""

from collections.abc import Sequence

from gatewayd.errors import UpstreamConnect, UpstreamTimeout
from gatewayd.proxy.call import Call
from gatewayd.proxy.upstream import Upstream


class Balance:
    """Round robin over the addresses of one route. Mutable: it remembers whose turn it is."""

    __slots__ = ("_turn", "upstreams")

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self.upstreams = tuple(upstreams)
        self._turn = 0

    async def connect(self, timeout: float) -> tuple[Upstream, Call]:
        """A connection to the next address that gives one; `timeout` is for each.

        Raises what the last one raised: UpstreamConnect or UpstreamTimeout. Nothing was sent to any.
        """
        count = len(self.upstreams)
        first, self._turn = self._turn, (self._turn + 1) % count
        for step in range(count):
            upstream = self.upstreams[(first + step) % count]
            try:
                return upstream, await upstream.connect(timeout)
            except (UpstreamConnect, UpstreamTimeout):
                if step == count - 1:
                    raise
        raise AssertionError("a route has at least one upstream")
