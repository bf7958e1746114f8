"""Intents of a segment that were written in full, to which later ones refer instead of saying the same again."""

from typing import Final

from gatewayd.model import Hold

NONE: Final = 0
"""No frame begins there."""
MOST: Final = 10_000
"""As many as there are users who call again within some seconds; some 5 MB."""


class Precedent:
    """A hold whose intent begins at `place`."""

    __slots__ = ("hold", "place")

    def __init__(self, hold: Hold, place: int) -> None:
        self.hold: Final = hold
        self.place: Final = place


class Precedents:
    """The last one of each user and route. Mutable: it grows up to MOST, and is emptied then and with the segment."""

    def __init__(self) -> None:
        self._by_route: dict[str, dict[str, Precedent]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def place_for(self, hold: Hold) -> int:
        """Where an intent begins that differs from this one in id and moment alone; NONE if nowhere."""
        if (by_user := self._by_route.get(hold.route)) is None or (found := by_user.get(hold.user_id)) is None:
            return NONE
        other = found.hold
        same = (
            hold.plan == other.plan
            and hold.unit == other.unit
            and hold.units == other.units
            and hold.limit == other.limit
            and hold.cost == other.cost
            and hold.agent == other.agent
        )
        return found.place if same else NONE

    def add(self, hold: Hold, place: int) -> None:
        """Its intent was written there."""
        if self._count >= MOST:
            self.clear()
        if (by_user := self._by_route.get(hold.route)) is None:
            by_user = self._by_route[hold.route] = {}
        before = len(by_user)
        by_user[hold.user_id] = Precedent(hold, place)
        self._count += len(by_user) - before

    def clear(self) -> None:
        """Nothing can be referred to any more."""
        self._by_route.clear()
        self._count = 0
