"""Path → Route, pure: the longest prefix that ends at a segment boundary wins."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from gatewayd.errors import BadRequest
from gatewayd.framing import Target, read_target

R = TypeVar("R")

TARGETS_KEPT: Final = 4096
LONGEST_KEPT: Final = 256
"""Characters of a target that is remembered: callers choose them, and their number."""


@dataclass(frozen=True, slots=True)
class Route:
    """A prefix and the rules that hold under it, by the rule's type; each policy reads its own and no other.

    `own` marks what the gateway answers itself; the name is empty there and where no route claims the path.
    """

    name: str
    prefix: str
    rules: dict[type, object] = field(default_factory=dict)
    own: bool = False

    def rule(self, kind: type[R]) -> R | None:
        """The route's rule of this type, if it has one."""
        rule: R | None = self.rules.get(kind)  # type: ignore[assignment]  # keyed by its own type
        return rule

    @staticmethod
    def with_rules(name: str, prefix: str, rules: Iterable[object], *, own: bool = False) -> "Route":
        """A route whose rules are keyed by their types; None stands for "no rule" and is left out."""
        keyed = {type(rule): rule for rule in rules if rule is not None}
        return Route(name, prefix, keyed, own)


class RouteTable:
    """Routes by prefix, and exact paths of the gateway's own. `unknown` is what every other path gets."""

    __slots__ = ("_by_prefix", "_depth", "_exact", "_usual", "routes", "unknown")

    def __init__(self, routes: Iterable[Route], exact: Mapping[str, Route], unknown: Route) -> None:
        self.routes = tuple(routes)
        self.unknown = unknown
        self._exact = dict(exact)
        self._by_prefix = {route.prefix.rstrip("/"): route for route in self.routes}
        self._usual: dict[str, tuple[Target, Route]] = {}  # what targets say; emptied when it is full
        self._depth = max((prefix.count("/") for prefix in self._by_prefix), default=0)

    def match(self, path: str) -> Route:
        """The route of a path that is already known to be unambiguous."""
        if (own := self._exact.get(path)) is not None:
            return own
        parts = path.split("/", self._depth + 1)
        for depth in range(min(self._depth, len(parts) - 1), -1, -1):
            if (route := self._by_prefix.get("/".join(parts[: depth + 1]))) is not None:
                return route
        return self.unknown

    def locate(self, raw: str, host: bytes | None) -> tuple[Target, Route]:
        """What a request target says, and its route. Raises BadRequest as `read_target` and `resolve` do."""
        if (known := self._usual.get(raw)) is not None:
            return known
        if len(raw) <= LONGEST_KEPT and raw.startswith("/"):
            if len(self._usual) >= TARGETS_KEPT:
                self._usual.clear()
            found = self._usual[raw] = self._located(raw)
            return found
        target = read_target(raw, host)
        return target, self.resolve(target)

    def _located(self, raw: str) -> tuple[Target, Route]:
        """Of an origin-form target, which is read alike whoever is addressed."""
        target = read_target(raw, None)
        return target, self.resolve(target)

    def resolve(self, target: Target) -> Route:
        """The route of a request target. Raises BadRequest if a lenient server would read another route in it."""
        route = self.match(target.path)
        if target.seen is not target.path and self.match(target.seen) is not route:
            raise BadRequest("The path leaves its route once it is decoded.")
        return route
