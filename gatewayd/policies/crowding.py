"""How many requests may be in flight at once: who comes above that is told so at once, and waits in no queue."""

from dataclasses import dataclass

from aiohttp import web

from gatewayd.errors import Crowded
from gatewayd.policies.base import Handler


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

    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Raises Crowded."""
        crowd = self.crowd
        if crowd.count >= self.most:
            raise Crowded("This route has as many requests as it may.")
        crowd.count += 1
        try:
            return await handler(request)
        finally:
            crowd.count -= 1
