"""Tokens that operators revoked, as an index that a request can afford to ask."""

from collections.abc import Iterable, Mapping
from math import inf
from types import MappingProxyType
from typing import Final

from gatewayd.model import Identity, Revocation


class Revocations:
    """Immutable; one look costs the same, however many there are.

    A token that does not say when it was issued counts as issued before everything: nothing else would stop it.
    """

    __slots__ = ("_any", "_everybody", "_tokens", "_users")

    def __init__(self, revocations: Iterable[Revocation] = ()) -> None:
        every = tuple(revocations)
        self._any = bool(every)
        self._tokens = frozenset(each.subject for each in every if each.kind == "token")
        self._users: Mapping[str, float] = MappingProxyType(_latest(each for each in every if each.kind == "user"))
        self._everybody = max((each.issued_until for each in every if each.kind == "all"), default=-inf)

    def refuses(self, identity: Identity) -> bool:
        """Whether the token behind this identity was revoked: its id, its user's, or everybody's until its time."""
        if not self._any:
            return False
        if identity.token_id is not None and identity.token_id in self._tokens:
            return True
        until = max(self._users.get(identity.user, -inf), self._everybody)
        return until > -inf and (identity.issued_at is None or identity.issued_at <= until)


def _latest(revocations: Iterable[Revocation]) -> dict[str, float]:
    """The latest time by subject."""
    found: dict[str, float] = {}
    for each in revocations:
        found[each.subject] = max(each.issued_until, found.get(each.subject, -inf))
    return found


NONE: Final = Revocations()
