"""All that operators decided about users, as far as it was told."""

from collections.abc import Iterable, Mapping

from gatewayd.identity.revocations import Revocations
from gatewayd.model import Directory, DirectoryPage, Identity, Revocation


class KnownDirectory:
    """Mutable: it grows by pages, each of which costs as much as is new in it, however much is known."""

    __slots__ = ("_plans", "revocations", "version")

    def __init__(self, plans: Mapping[str, str] | None = None, revocations: Iterable[Revocation] = ()) -> None:
        self.version = 0
        """The ledger's, up to which all is known; 0 for what is not known from there."""
        self._plans = dict(plans or {})
        self.revocations = Revocations(revocations)

    @property
    def plans(self) -> Mapping[str, str]:
        """Every account's plan by user; not for anybody to change."""
        return self._plans

    def plan_of(self, user: str) -> str | None:
        """The plan that an operator gave to this user, if one did."""
        return self._plans.get(user)

    def add(self, page: DirectoryPage) -> None:
        self._plans.update(page.plans)
        self.revocations.add(page.revocations)
        self.version = page.version

    def as_it_stands(self) -> Directory:
        """A copy that does not grow."""
        return Directory(self.version, dict(self._plans), tuple(self.revocations))


class Standing:
    """What is known at this moment, for requests to ask: see `generation.Decisions`.

    Mutable: whoever reads the source puts what he found here, as a whole.
    """

    __slots__ = ("known", "loaded")

    def __init__(self) -> None:
        self.known = KnownDirectory()
        self.loaded = False

    def plan_of(self, user: str) -> str | None:
        """The plan that an operator gave to this user; None leaves it to the token's claim."""
        return self.known.plan_of(user)

    def refuses(self, identity: Identity) -> bool:
        """Whether the token behind this identity was revoked."""
        return self.known.revocations.refuses(identity)
