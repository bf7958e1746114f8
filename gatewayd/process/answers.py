"""What a supervisor answers those who ask how its daemon is: what each child says, put together."""

from collections.abc import Mapping
from typing import Any

from gatewayd.admin.sightings import merged
from gatewayd.clock import Clock
from gatewayd.metrics.families import RELOADED, level
from gatewayd.process.course import Course
from gatewayd.process.desk import Command, Reply
from gatewayd.process.inquiries import Answers
from gatewayd.process.operators import NOBODY_LOOKS
from gatewayd.process.staff import Staff
from gatewayd.process.status import Circumstances, describe


class Answering:
    """Changes nothing."""

    def __init__(self, course: Course, staff: Staff, clock: Clock) -> None:
        self._course = course
        self._staff = staff
        self._clock = clock
        self._started = clock.monotonic()

    @property
    def commands(self) -> dict[str, Command]:
        """By name, for the control socket."""
        return {
            "status": self._tell_status,
            "metrics": self._tell_metrics,
            "sightings": self._tell_sightings,
            "overview": self._tell_overview,
        }

    def _tell_status(self, _words: Mapping[str, Any], reply: Reply) -> None:
        asked = [*self._staff.workers.all, *self._staff.bookkeeper]
        self._staff.crew.ask(asked, "status", lambda answers: reply(self._status(answers)))

    def _status(self, answers: Answers) -> dict[str, Any]:
        course, staff = self._course, self._staff
        circumstances = Circumstances(
            state=course.state,
            uptime=self._clock.monotonic() - self._started,
            listening=course.listening,
            admin=staff.reception.address,
            ledger=next((answers[each] for each in staff.bookkeeper if each in answers), None),
            last_reload=course.last_reload,
        )
        workers = [{**answers.get(each, {}), **each.describe()} for each in staff.workers.all]
        children = [each.describe() for each in staff.crew.children]
        found = describe(course.settings, circumstances, workers, children)
        own: dict[str, Any] = {"image": course.image, "upgrade_failure": course.upgrade_failure}
        if any(each.ready for each in staff.workers.current):  # who is too busy to say so serves by it all the same
            own["generation"] = max(found["generation"], course.generation)
        return found | own

    def _tell_metrics(self, _words: Mapping[str, Any], reply: Reply) -> None:
        staff = self._staff
        own = {"gauges": level(RELOADED, self._course.reloaded)}

        def answer(answers: Answers) -> None:
            counted = [sheet.samples() for sheet in staff.workers.sheets]
            reply({"samples": [*counted, *answers.values(), staff.departed.lasting(), own]})

        staff.crew.ask([*staff.workers.all, *staff.bookkeeper], "metrics", answer)

    def _tell_sightings(self, _words: Mapping[str, Any], reply: Reply) -> None:
        def answer(answers: Answers) -> None:
            reply(merged([*answers.values(), self._staff.gone]))

        self._staff.crew.ask(self._staff.workers.all, "sightings", answer)

    def _tell_overview(self, _words: Mapping[str, Any], reply: Reply) -> None:
        def answer(answers: Answers) -> None:
            found = [each for each in answers.values() if each]
            reply(found[0] if found else {"error": NOBODY_LOOKS})

        self._staff.crew.ask(self._staff.reception.children, "overview", answer)
