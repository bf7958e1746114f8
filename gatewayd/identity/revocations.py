"""Tokens that operators revoked, as an index that a request can afford to ask."""

from collections.abc import Iterable, Iterator
from math import inf

from gatewayd.model import Identity, Revocation


class Revocations:
    """One look costs the same, however many there are. Mutable: it only grows, as a revocation is never taken back.

    A token that does not say when it was issued counts as issued before everything: nothing else would stop it.
    """

    __slots__ = ("_any", "_everybody", "_tokens", "_users")

    def __init__(self, revocations: Iterable[Revocation] = ()) -> None:
        self._any = False
        self._tokens: dict[str, float] = {}
        self._users: dict[str, float] = {}
        self._everybody = -inf
        self.add(revocations)

    def __iter__(self) -> Iterator[Revocation]:
        yield from (Revocation("token", subject, until) for subject, until in self._tokens.items())
        yield from (Revocation("user", subject, until) for subject, until in self._users.items())
        if self._everybody > -inf:
            yield Revocation("all", "", self._everybody)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Revocations) and {*self} == {*other}

    __hash__ = None  # type: ignore[assignment]

    def add(self, revocations: Iterable[Revocation]) -> None:
        """From now on these are revoked too; of two times the later stands."""
        for kind, subject, until in revocations:
            self._any = True
            if kind == "token":
                self._tokens[subject] = max(until, self._tokens.get(subject, -inf))
            elif kind == "user":
                self._users[subject] = max(until, self._users.get(subject, -inf))
            else:
                self._everybody = max(until, self._everybody)

    def refuses(self, identity: Identity) -> bool:
        """Whether the token behind this identity was revoked: its id, its user's, or everybody's until its time."""
        if not self._any:
            return False
        if identity.token_id is not None and identity.token_id in self._tokens:
            return True
        until = max(self._users.get(identity.user, -inf), self._everybody)
        return until > -inf and (identity.issued_at is None or identity.issued_at <= until)
