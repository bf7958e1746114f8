"""An upgrade, on both sides of it: leaving what the daemon has to another program, and going on where one left."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gatewayd.clock import Clock
from gatewayd.errors import StartError
from gatewayd.process.control import socket_path
from gatewayd.process.course import Course
from gatewayd.process.desk import Reply
from gatewayd.process.handover import Handover, become, listening, rehearse
from gatewayd.process.notify import notify, reloading, serving
from gatewayd.process.reactor import Call, Reactor, held
from gatewayd.process.reload import DRAINING
from gatewayd.process.staff import Staff
from gatewayd.process.workers import WORKER

logger = logging.getLogger(__name__)

_BESIDE_PATIENCE: Final = 20.0  # seconds in which a new program's workers should serve
_LOOK_AGAIN: Final = 1.0  # seconds between looks at workers who are not ready yet


class Upgrade:
    """Of one program of the process; the next has its own."""

    def __init__(
        self, reactor: Reactor, course: Course, staff: Staff, clock: Clock, environ: Mapping[str, str]
    ) -> None:
        self._reactor = reactor
        self._course = course
        self._staff = staff
        self._clock = clock
        self._environ = environ

    def take_over(self, left: Handover) -> None:
        """Begin beside the children of the program before this one, who serve until ours do. Raises StartError."""
        staff, course = self._staff, self._course
        course.generation = left.generation + 1
        staff.departed.add(left.counted)
        staff.listeners.take_over(left.listeners)
        staff.workers.take_over([each for each in left.children if each["role"] == WORKER])
        self._end_others(left)
        staff.start_bookkeeper()
        same_place = left.admin == str(course.settings.admin.listen)
        staff.reception.listen(course.settings, [listening(fd) for fd in left.operators] if same_place else ())
        staff.reception.start(socket_path(course.settings.server.state_dir))
        if staff.workers.start_beside(course.settings, course.generation, staff.memory, _BESIDE_PATIENCE):
            staff.workers.retire_older()
        else:
            course.upgrade_failure = "the new workers do not start, the older ones serve on; see the log"
            logger.error(course.upgrade_failure)
            self._retire_older_when_ready()

    def _end_others(self, left: Handover) -> None:
        """The older bookkeeper and operators' process: there is never more than one of each."""
        crew = self._staff.crew
        others = [each for each in left.children if each["role"] != WORKER]
        older = [crew.adopt(each["name"], each["pid"], listening(each["line"])) for each in others]
        crew.tell(older, "end")
        self._staff.await_end(older)

    def _retire_older_when_ready(self) -> None:
        if all(child.ready for child in self._staff.workers.current):
            self._course.upgrade_failure = ""
            self._staff.workers.retire_older()
        else:
            self._reactor.later(_LOOK_AGAIN, self._retire_older_when_ready)

    def leave_to(self, command: Sequence[str], reply: Reply, hear: Call, *, lock: int, control: int) -> None:
        """Become another program, if it says that it can take over; whoever asked finds that out by the status.

        `hear` counts the stops that were told by now: those told during the rehearsal, in which nobody hears them, and
        while the counters' tenant was waited for are obeyed here, and later ones by the next program. `lock` and
        `control` are the descriptors of the state directory's lock and of the socket for commands.
        """
        if self._course.stops:
            reply({"refused": DRAINING})
            return
        try:
            said = rehearse(command, self._environ)
            self._staff.workers.tenancy.end()  # the next program has workers of its own, and may know of no tenants
            with held():
                self._obey_stops(hear)
                reply({"image": self._course.image, "said": said})
                self._course.upgrade_failure = ""
                notify(self._environ, *reloading(self._clock.monotonic()), "STATUS=upgrading")
                become(command, self._environ, self._left(lock, control))
        except StartError as error:
            self._course.upgrade_failure = str(error)
            logger.error("not upgraded: %s", error)  # noqa: TRY400
            reply({"refused": str(error)})
            notify(self._environ, *serving(self._course.listening))

    def _obey_stops(self, hear: Call) -> None:
        """Raises StartError if there was one by now."""
        hear()
        if self._course.stops:
            raise StartError(DRAINING)

    def _left(self, lock: int, control: int) -> Handover:
        staff, course = self._staff, self._course
        return Handover(
            generation=course.generation,
            image=course.image,
            lock=lock,
            control=control,
            books=staff.books.fileno(),
            operators=[sock.fileno() for sock in staff.reception.sockets],
            admin=str(course.settings.admin.listen),
            listeners=staff.listeners.handed_over(),
            children=[*staff.workers.handed_over(), *self._others()],
            counters=staff.memory.handed_over(),
            counted=staff.departed.lasting(),
        )

    def _others(self) -> list[dict[str, Any]]:
        others = (*self._staff.bookkeeper, *self._staff.reception.children)
        return [{"role": "other", **each.handed_over(), "sheet": None} for each in others if each.alive]
