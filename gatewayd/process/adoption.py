"""A reload as one worker makes it: another generation, other doors, other logs, from one moment to the next."""

import os
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.edge.server import EdgeRunner
from gatewayd.generation import Generation
from gatewayd.identity.providers import providers_of
from gatewayd.lifecycle import Pool, build
from gatewayd.pinning import Generations
from gatewayd.process.entrance import Door, Entrance
from gatewayd.process.files import allow_connections
from gatewayd.process.logs import Logs, Opened
from gatewayd.process.parcel import read_settings
from gatewayd.process.tls import Certificate, certificate
from gatewayd.stores.open import reach_counters


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a reload would put in force here. `doors` is all that callers are taken from then."""

    settings: Settings
    generation: Generation
    doors: Mapping[int, Door]
    tls: Certificate
    logs: Opened
    closed: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reload changes of a worker that serves."""

    pool: Pool
    generations: Generations
    runner: EdgeRunner
    entrance: Entrance
    logs: Logs


class Adoption:
    """Mutable: prepared, then committed or discarded, again and again."""

    def __init__(self, settings: Settings, clock: Clock, parts: Parts) -> None:
        self._clock = clock
        self._parts = parts
        self._prepared: Prepared | None = None
        self.settings = settings
        """In force."""

    async def prepare(self, words: Mapping[str, Any], files: Sequence[int]) -> None:
        """As Worker.prepare."""
        settings_file, *sockets = files
        try:
            settings = read_settings(settings_file)
        finally:
            os.close(settings_file)
        known = {**self._parts.entrance.doors, **_doors(words["fresh"], sockets)}
        if settings.counters != self.settings.counters:
            await reach_counters(settings.counters.url.reveal())
        tls = certificate(settings.server.tls)
        parts = self._parts
        generation = build(words["generation"], settings, parts.pool, self._clock, parts.generations.current)
        doors = {number: known[number] for number in words["doors"]}
        self._prepared = Prepared(settings, generation, doors, tls, await parts.logs.prepare(settings), words["closed"])

    async def commit(self) -> None:
        """Put in force what was prepared: requests that begin from now on are judged by it."""
        new, self._prepared = self._prepared, None
        assert new is not None
        parts, server = self._parts, new.settings.server
        allow_connections(server.max_connections)
        parts.generations.adopt(new.generation)
        parts.pool.ledger.on_outage(new.settings.ledger.on_outage)
        parts.runner.adopt(server)
        before, self.settings = self.settings, new.settings
        await parts.entrance.be_at(new.doors, new.tls, server.header_timeout, closed=new.closed)
        await parts.logs.commit(new.logs)
        await parts.pool.providers.keep_only({*providers_of(before.auth), *providers_of(new.settings.auth)})

    async def discard(self) -> None:
        """Forget what was prepared."""
        old, self._prepared = self._prepared, None
        if old is not None:
            self._parts.entrance.forget(old.doors)
            await self._parts.logs.discard(old.logs)


def _doors(fresh: Sequence[Mapping[str, Any]], sockets: Sequence[int]) -> dict[int, Door]:
    return {
        door["number"]: Door(door["number"], socket.socket(fileno=fd), has_heir=door["has_heir"])
        for door, fd in zip(fresh, sockets, strict=True)
    }
