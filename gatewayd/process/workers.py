"""The workers of a daemon as its supervisor sees them: how many there are, and what they serve from where."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.errors import StartError
from gatewayd.metrics import Sheet
from gatewayd.process.crew import Crew
from gatewayd.process.entrance import Door
from gatewayd.process.handover import listening
from gatewayd.process.hired import Child, Job
from gatewayd.process.inquiries import Answers
from gatewayd.process.listeners import Listeners, Proposal, share_out
from gatewayd.process.parcel import settings_file
from gatewayd.process.reactor import Reactor
from gatewayd.process.shares import share_of
from gatewayd.process.tenancy import Tenancy
from gatewayd.process.worker import serve_callers
from gatewayd.stores.shared.memory import SharedMemory

WORKER: Final = "worker"
PREPARE_PATIENCE: Final = 15.0
"""Seconds that workers get to make what a configuration needs."""
_COMMIT_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration that every worker can serve by, and none does yet."""

    settings: Settings  # each worker's share
    number: int
    staying: Sequence[Child]
    hired: Sequence[Child]
    leaving: Sequence[Child]
    proposal: Proposal


class Workers:
    """Mutable: they are hired, and retire."""

    def __init__(
        self,
        reactor: Reactor,
        crew: Crew,
        clock: Clock,
        listeners: Listeners,
        await_ready: Callable[[Sequence[Child]], None],
    ) -> None:
        """`await_ready` waits until all of them are. Raises StartError with the words of the first that fails."""
        self._crew = crew
        self._clock = clock
        self._counters: SharedMemory | None = None
        self.tenancy = Tenancy(reactor, crew, self._present)
        """Whether one of them has the counters for itself."""
        self._listeners = listeners
        self._await_ready = await_ready
        self._doors: dict[Child, Sequence[Door]] = {}
        self._sheets: dict[Child, Sheet] = {}
        self.current: list[Child] = []
        """Those who take callers."""
        self.retired: list[Child] = []
        """Those who only finish what they have."""

    @property
    def all(self) -> list[Child]:
        return [*self.current, *self.retired]

    def _present(self) -> list[Child]:
        """Whoever counts, or will: those too who are hired by a reload that may be refused yet."""
        return [child for child in self._sheets if child.alive or child.wanted]

    @property
    def sheets(self) -> Collection[Sheet]:
        """What they count: who takes the place of a dead one goes on on its sheet."""
        return self._sheets.values()

    def start(self, settings: Settings, number: int, counters: SharedMemory) -> None:
        """The first of them, who count together there, as all who follow. Raises StartError."""
        self._counters = counters
        count = worker_count(settings)
        proposal = self._listeners.propose(settings.server.listen, count)
        self._listeners.adopt(proposal)
        share = share_of(settings, count)
        for place, doors in enumerate(self._shares(proposal, count)):
            self.current.append(self._hire(_name(place, count), share, number, doors))
        self._await_ready(self.current)

    def handed_over(self) -> list[dict[str, Any]]:
        """Those who are alive, with their lines and sheets, for the program that this process becomes."""
        found = []
        for child in self.all:
            if child.lines is not None:
                sheet = self._sheets[child]
                parts = {"fd": sheet.fd, **sheet.sizes}
                found.append({"role": WORKER, **child.handed_over(), "sheet": parts})
        return found

    def take_over(self, parts: Sequence[Mapping[str, Any]]) -> None:
        """Those whom another program of this process made: they take callers until they are told to retire."""
        for each in parts:
            child = self._crew.adopt(
                f"older {each['name'].removeprefix('older ')}", each["pid"], listening(each["line"])
            )
            self._sheets[child] = Sheet(**each["sheet"])
            self._doors[child] = ()
            self.retired.append(child)

    def start_beside(self, settings: Settings, number: int, counters: SharedMemory, patience: float) -> bool:
        """As `start`, while others serve: one who dies of it is made again. Whether all are ready in time.

        Raises StartError for addresses that cannot be listened on.
        """
        self._counters = counters
        count = worker_count(settings)
        proposal = self._listeners.propose(settings.server.listen, count)
        share = share_of(settings, count)
        for place, doors in enumerate(self._shares(proposal, count)):
            self.current.append(self._hire(_name(place, count), share, number, doors, awaited=False))
        self._listeners.adopt(proposal)
        return self._crew.are_ready(self.current, patience)

    def retire_older(self) -> None:
        """Have all who are not needed any more finish what they have."""
        self._crew.retire(self.retired)

    def prepare(self, settings: Settings, number: int) -> Prepared:
        """Have everybody make what the settings need. Raises StartError if one cannot, and nothing was changed then."""
        count = worker_count(settings)
        proposal = self._listeners.propose(settings.server.listen, count)
        staying, leaving = self.current[:count], self.current[count:]
        hired: list[Child] = []
        prepared = Prepared(share_of(settings, count), number, staying, hired, leaving, proposal)
        try:
            for place in range(len(staying), count):
                hired.append(self._hire(_name(place, count), prepared.settings, number, ()))  # noqa: PERF401  # one may fail
            self._await_ready(hired)
            self._order_to_prepare(prepared)
        except StartError:
            self.discard(prepared)
            raise
        return prepared

    def _order_to_prepare(self, prepared: Prepared) -> None:
        parcel = settings_file(prepared.settings)
        try:
            asked = [child for child in (*prepared.staying, *prepared.hired) if child.alive]
            words = {child: self._words_for(child, doors, prepared) for child, doors in self._plan(prepared, asked)}
            orders = {child: (said, (parcel, *files)) for child, (said, files) in words.items()}
            answers = self._crew.order("prepare", orders, PREPARE_PATIENCE)
        finally:
            os.close(parcel)
        for child in asked:
            if child not in answers:
                raise StartError(f"{child.failure or f'{child.name} did not answer in time'}; try again")
            if (refusal := answers[child].get("refused")) is not None:
                raise StartError(refusal)

    def _plan(self, prepared: Prepared, children: Collection[Child]) -> list[tuple[Child, Sequence[Door]]]:
        everybody = (*prepared.staying, *prepared.hired)
        shares = self._shares(prepared.proposal, len(everybody))
        return [(child, doors) for child, doors in zip(everybody, shares, strict=True) if child in children]

    def _words_for(
        self, child: Child, doors: Sequence[Door], prepared: Prepared
    ) -> tuple[Mapping[str, Any], Sequence[int]]:
        known = {door.number for door in self._doors.get(child, ())}
        fresh = [door for door in doors if door.number not in known]
        kept = {each.number for listeners in prepared.proposal.table.values() for each in listeners}
        words = {
            "generation": prepared.number,
            "doors": [door.number for door in doors],
            "fresh": [{"number": door.number, "has_heir": door.has_heir} for door in fresh],
            "closed": sorted(known - kept),
        }
        return words, [door.sock.fileno() for door in fresh]

    def commit(self, prepared: Prepared) -> None:
        """Have everybody go by it. One who cannot, though it said so, is made anew with it."""
        everybody = [*prepared.staying, *prepared.hired]
        for place, (child, doors) in enumerate(self._plan(prepared, everybody)):
            child.name = _name(place, len(everybody))
            child.job = self._job(prepared.settings, prepared.number, self._sheets[child], doors)
            self._doors[child] = doors
        asked = [child for child in everybody if child.alive]
        answers = self._crew.order("commit", dict.fromkeys(asked, (None, ())), _COMMIT_PATIENCE)
        self._crew.replace([child for child in asked if child.alive and _refused(answers, child)])
        self._listeners.adopt(prepared.proposal)
        self.current = everybody
        self._retire(prepared.leaving)

    def _retire(self, leaving: Sequence[Child]) -> None:
        self._crew.retire(leaving)
        self.retired += [child for child in leaving if child.alive]

    def discard(self, prepared: Prepared) -> None:
        """Have everybody forget it."""
        asked = [child for child in prepared.staying if child.alive]
        self._crew.order("discard", dict.fromkeys(asked, (None, ())), _COMMIT_PATIENCE)
        self._crew.retire(prepared.hired)
        self.retired += [child for child in prepared.hired if child.alive]
        self._listeners.discard(prepared.proposal)

    def buried(self, child: Child) -> Sheet | None:
        """One of them died; what it had counted, if nobody takes its place."""
        if child not in self.retired:
            return None
        self.retired.remove(child)
        self._doors.pop(child)
        return self._sheets.pop(child)

    def _shares(self, proposal: Proposal, count: int) -> list[list[Door]]:
        return [[each.door for each in share] for share in share_out(proposal.table, count)]

    def _hire(
        self, name: str, settings: Settings, number: int, doors: Sequence[Door], *, awaited: bool = True
    ) -> Child:
        self.tenancy.end()
        sheet = Sheet()
        child = self._crew.hire(name, self._job(settings, number, sheet, doors), awaited=awaited)
        self._sheets[child] = sheet
        self._doors[child] = doors
        return child

    def _job(self, settings: Settings, number: int, sheet: Sheet, doors: Sequence[Door]) -> Job:
        assert self._counters is not None
        work = partial(
            serve_callers,
            settings=settings,
            clock=self._clock,
            counters=self._counters,
            sheet=sheet,
            doors=doors,
            number=number,
        )
        return Job(work, [door.sock for door in doors])


def _refused(answers: Answers, child: Child) -> bool:
    return child not in answers or "refused" in answers[child]


def _name(place: int, count: int) -> str:
    return f"worker {place + 1}" if count > 1 else "worker"


def worker_count(settings: Settings) -> int:
    """How many were asked for; "auto" is one for each CPU that this process may use."""
    return settings.server.workers or len(os.sched_getaffinity(0))
