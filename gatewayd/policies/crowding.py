"""How many requests may be in flight at once: who comes above that is told so at once, and waits in no queue."""

from dataclasses import dataclass

from gatewayd.errors import Crowded
from gatewayd.exchange import Exchange


class Crowd:
    """The requests in flight on one route, whatever generation they are on. Mutable: it counts."""

    __slots__ = ("__weakref__", "count")

    def __init__(self) -> None:
        self.count = 0


@dataclass(frozen=True, slots=True, eq=False)
class CrowdRule:
    """At most so many at once."""

    most: int
    crowd: Crowd

    def enter(self, exchange: Exchange) -> None:
        """Until the exchange is over. Raises Crowded."""
        if self.crowd.count >= self.most:
            raise Crowded("This route has as many requests as it may.")
        self.crowd.count += 1
        exchange.leave = self._leave

    def _leave(self) -> None:
        self.crowd.count -= 1
