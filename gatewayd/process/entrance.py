"""Where a worker takes callers from, and that it can be elsewhere after a reload without anybody being refused."""

import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gatewayd.edge.server import EdgeRunner, EdgeSite
from gatewayd.process.listen import BACKLOG
from gatewayd.process.tls import Certificate


@dataclass(frozen=True, slots=True, eq=False)
class Door:
    """A socket that listens; `number` is its name between supervisor and workers.

    `has_heir`: somebody else takes callers there when this daemon has ended, so that none needs to be refused.
    """

    number: int
    sock: socket.socket
    has_heir: bool = False


class Entrance:
    """Mutable: it moves."""

    def __init__(self, runner: EdgeRunner) -> None:
        self._runner = runner
        self._sites: dict[int, EdgeSite] = {}
        self._way_in: tuple[Certificate, float] | None = None
        self.doors: Mapping[int, Door] = {}

    async def be_at(
        self, doors: Mapping[int, Door], tls: Certificate, patience: float, *, closed: Collection[int] = ()
    ) -> None:
        """Take callers there and nowhere else. Those who wait at doors that are `closed` are taken before."""
        if self._way_in != (tls, patience):
            await self.leave()
        self._way_in = tls, patience
        for number in [number for number in self._sites if number not in doors]:
            site = self._sites.pop(number)
            await (site.stop_for_good() if number in closed else site.stop())
        for number, door in doors.items():
            if number not in self._sites:
                site = EdgeSite(self._runner, door.sock, tls.context, backlog=BACKLOG, patience=patience)
                await site.start()
                self._sites[number] = site
        before, self.doors = self.doors, doors
        self.forget(before)

    def forget(self, doors: Mapping[int, Door]) -> None:
        """Close what is not used of these: a socket that another worker has stays open there."""
        for number, door in doors.items():
            if number not in self.doors:
                door.sock.close()

    async def leave(self) -> None:
        """Take nobody any more; callers wait in the sockets' queues for who comes."""
        for site in self._sites.values():
            await site.stop()
        self._sites.clear()

    async def leave_to_heirs(self) -> bool:
        """Take nobody any more where somebody else will; whether that is everywhere."""
        for number in [number for number in self._sites if self.doors[number].has_heir]:
            await self._sites.pop(number).stop()
        return not self._sites
