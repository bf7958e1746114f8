"""A reload as a transaction: judged once, prepared by everybody, then in force everywhere or nowhere."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from gatewayd.clock import Clock
from gatewayd.config.difference import difference
from gatewayd.config.loading import Loaded
from gatewayd.config.report import problems_as_json
from gatewayd.config.settings import Settings
from gatewayd.errors import ConfigError, StartError
from gatewayd.model import rfc3339
from gatewayd.process.course import Course
from gatewayd.process.notify import notify, reloading, serving
from gatewayd.process.staff import Staff
from gatewayd.process.status import running_by_generation

logger = logging.getLogger(__name__)

DRAINING: Final = "the daemon is stopping"
"""Why a daemon that was told to stop refuses what else it is told."""

Reread = Callable[[str], Loaded]
"""The configuration as the files say it now; of the daemon's own file if none is named. Raises ConfigError."""


class Reload:
    """As often as it is asked for, one at a time."""

    def __init__(self, course: Course, staff: Staff, clock: Clock, environ: Mapping[str, str], reread: Reread) -> None:
        self._course = course
        self._staff = staff
        self._clock = clock
        self._environ = environ
        self._reread = reread

    def plan(self, file: str) -> dict[str, Any]:
        """What a reload would change; nothing is done."""
        try:
            loaded = self._reread(file)
        except ConfigError as error:
            return _misconfigured(error)
        changes = difference(self._course.settings, loaded.settings).document()
        return {"changes": changes, "generation": self._course.generation, "warnings": list(map(str, loaded.warnings))}

    def __call__(self, file: str) -> dict[str, Any]:
        """All of it or nothing: what was done, or why it was refused."""
        course = self._course
        if course.stops:
            return {"refused": DRAINING, "generation": course.generation}
        began = self._clock.monotonic()
        course.state = "reloading"
        notify(self._environ, *reloading(began), "STATUS=reloading")
        answer = self._attempted(file)
        course.state = "serving"
        course.reloaded = "refused" not in answer
        answer |= {"generation": course.generation, "seconds": round(self._clock.monotonic() - began, 4)}
        notify(self._environ, *serving(course.listening))
        course.last_reload = {
            "at": rfc3339(self._clock.utc()),
            "adopted": course.reloaded,
            "reason": _refusal(answer),
        }
        _log(answer)
        return answer

    def _attempted(self, file: str) -> dict[str, Any]:
        try:
            return self._from(file)
        except ConfigError as error:
            return _misconfigured(error)
        except StartError as error:
            return {"refused": str(error)}

    def _from(self, file: str) -> dict[str, Any]:
        """Raises ConfigError and StartError."""
        loaded = self._reread(file)
        changes = difference(self._course.settings, loaded.settings)
        if changes.needs_restart:
            raise StartError(f"{', '.join(changes.needs_restart)} cannot change while the daemon runs: restart it")
        self._change_to(loaded.settings)
        statuses = self._staff.crew.hear(self._staff.workers.all, "status").values()
        return {
            "changes": changes.document(),
            "running_by_generation": running_by_generation(statuses),
            "warnings": list(map(str, loaded.warnings)),
        }

    def _change_to(self, settings: Settings) -> None:
        """Prepare everywhere, then commit everywhere. Raises StartError, and has changed nothing then."""
        course, workers, reception = self._course, self._staff.workers, self._staff.reception
        self._staff.crew.pause()
        try:
            moved = reception.prepare(settings)
            try:
                prepared = workers.prepare(settings, course.generation + 1)
            except StartError:
                reception.discard(moved)
                raise
            if course.stops:
                workers.discard(prepared)
                reception.discard(moved)
                raise StartError(DRAINING)
            course.settings = settings
            course.generation += 1
            workers.commit(prepared)
            reception.commit(settings, moved)
            self._staff.note_addresses()
        finally:
            self._staff.crew.go_on()


def _misconfigured(error: ConfigError) -> dict[str, Any]:
    return {"refused": "the configuration is refused", "problems": problems_as_json(error.problems)}


def _refusal(answer: Mapping[str, Any]) -> str:
    """Why a reload was refused, with the first problem of its configuration; empty if it was not."""
    if (why := answer.get("refused")) is None:
        return ""
    first = next(iter(answer.get("problems", ())), None)
    return f"{why}: {first['file']}:{first['line']}: {first['key']}: {first['message']}" if first else str(why)


def _log(answer: Mapping[str, Any]) -> None:
    if (why := answer.get("refused")) is None:
        logger.info("generation %d is in force after %.3f s", answer["generation"], answer["seconds"])
        return
    logger.error("reload refused, generation %d still serves: %s", answer["generation"], why)
    for each in answer.get("problems", ()):
        logger.error("%s:%d:%d: %s: %s", *(each[part] for part in ("file", "line", "column", "key", "message")))
