"""A worker that is the only one keeps the memory of the counters for itself, until there is to be another.

What counts exactly rests on the kernel's lock alone (`SharedMemory.keep`): who begins while somebody else keeps the
memory waits, told or not. That nobody ever has to wait is what is seen to here. The tenant is told to share, and has
said that it does, before another process is made that uses the memory; if it dies instead, the kernel frees it.
"""

from collections.abc import Callable, Sequence
from typing import Final

from gatewayd.errors import StartError
from gatewayd.process.crew import Crew
from gatewayd.process.hired import Child
from gatewayd.process.reactor import Reactor

KEEP: Final = "keep counters"
SHARE: Final = "share counters"
_LOOK_SECONDS: Final = 1.0
_SHARE_PATIENCE: Final = 10.0  # seconds: longer than it takes to find a worker that hangs, and to replace it


class Tenancy:
    """Mutable: it has a tenant or none. A tenant is one life of a child."""

    def __init__(
        self,
        reactor: Reactor,
        crew: Crew,
        everybody: Callable[[], Sequence[Child]],
        *,
        patience: float = _SHARE_PATIENCE,
    ) -> None:
        """`everybody`: whoever uses the memory or will, the dead among them who are made again.

        A tenant gets `patience` seconds to share.
        """
        self._reactor = reactor
        self._crew = crew
        self._everybody = everybody
        self._patience = patience
        self._tenant: tuple[Child, int] | None = None
        self._ending = False

    def start(self) -> None:
        """Look for who is alone, now and for as long as the reactor turns."""
        self._look()
        self._reactor.later(_LOOK_SECONDS, self.start)

    def _look(self) -> None:
        """A tenant is told again: it may have been refused the memory, or shared it when nobody waited any more."""
        if self._ending:
            return
        if (tenant := self._present() or self._alone()) is not None:
            self._tenant = tenant, tenant.pid
            self._crew.call([tenant], KEEP)

    def _alone(self) -> Child | None:
        everybody = self._everybody()
        return everybody[0] if len(everybody) == 1 and everybody[0].alive and everybody[0].ready else None

    def end(self) -> None:
        """Return when nobody keeps the memory, to make another who uses it before anything else is heard.

        Serves everything else meanwhile. Raises StartError if the tenant neither answers in time nor dies.
        """
        self._ending = True
        try:
            while (tenant := self._present()) is not None:
                answers = self._crew.order(SHARE, {tenant: (None, ())}, self._patience)
                if "shared" in answers.get(tenant, {}):
                    self._tenant = None
                elif tenant is self._present():
                    raise StartError(f"{tenant.name} did not answer in time; try again")
        finally:
            self._ending = False

    def _present(self) -> Child | None:
        """The tenant, if it is alive."""
        if self._tenant is None:
            return None
        child, pid = self._tenant
        return child if child.alive and child.pid == pid else None
