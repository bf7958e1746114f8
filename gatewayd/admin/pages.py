"""The pages: what the browser is shown, written by templates alone."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp_jinja2
import jinja2
from aiohttp import web
from markupsafe import Markup, escape

from gatewayd.admin import assets, sparkline, wording
from gatewayd.admin.history import STEPS
from gatewayd.admin.live import Live
from gatewayd.admin.observatory import Observatory
from gatewayd.admin.questions import UsageQuestion, UsageQuestions
from gatewayd.admin.usage import A_PAGE

NEAREST_PATIENCE: Final = 0.03
"""Seconds that a page waits for the ledger to say who is near a limit; the next one has it then."""
_REFRESH: Final = ("5", "10", "30", "60")


class Pages:
    """Over what was observed, and what the ledger says."""

    def __init__(self, observatory: Observatory, questions: UsageQuestions) -> None:
        self._observatory = observatory
        self._questions = questions
        self.live = Live(self._fragment)
        self._environment: jinja2.Environment | None = None

    def setup(self, app: web.Application) -> None:
        """Templates and addresses."""
        self._environment = aiohttp_jinja2.setup(
            app,
            loader=jinja2.PackageLoader("gatewayd.admin"),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            filters=FILTERS,
        )
        self._environment.globals |= {"asset": assets.address, "user_url": user_url}
        app.router.add_get("/", self.now)
        app.router.add_get("/live", self.live.serve)
        app.router.add_get("/usage", self.usage)
        app.router.add_get("/usage/user", self.user)
        app.router.add_get("/requests/{id}", self.request)
        app.router.add_get("/static/{name}", assets.serve)

    async def now(self, request: web.Request) -> web.Response:
        """Everything at one look."""
        wanted = request.query.get("refresh", "")
        context = {
            "o": await self._observatory.overview(NEAREST_PATIENCE),
            "here": "now",
            "refresh": wanted if wanted in _REFRESH else "",
        }
        return aiohttp_jinja2.render_template("now.html", request, context)

    async def _fragment(self) -> str:
        assert self._environment is not None
        template = self._environment.get_template("_now.html")
        return template.render(o=await self._observatory.overview())

    async def request(self, request: web.Request) -> web.Response:
        """One request that went wrong, if it is among the last."""
        request_id = request.match_info["id"]
        found = sighting_of(await self._observatory.overview(), request_id)
        context = {"e": found, "request_id": request_id[:64], "here": ""}
        return aiohttp_jinja2.render_template("request.html", request, context, status=200 if found else 404)

    async def usage(self, request: web.Request) -> web.Response:
        """Who used what in a month: by user, by agent, by day."""
        question = UsageQuestion.asked(request.query, self._questions.period())
        found = await self._questions.usage(question)
        context = found | {
            "here": "usage",
            "period": question.period,
            "user": question.user,
            "page": question.page,
            "size": A_PAGE,
            "page_url": lambda page: f"/usage?{urlencode(question.query() | {'page': page})}",
            "csv_url": lambda by: f"/usage.csv?{urlencode(question.query() | {'by': by})}",
        }
        return aiohttp_jinja2.render_template("usage.html", request, context, status=503 if found["fault"] else 200)

    async def user(self, request: web.Request) -> web.Response:
        """One user's month."""
        question = UsageQuestion.asked(request.query, self._questions.period())
        found = await self._questions.usage_of(question)
        context = found | {
            "here": "usage",
            "period": question.period,
            "user": question.user,
            "usage_url": f"/usage?{urlencode({'period': question.period})}",
            "csv": f"/usage.csv?{urlencode(question.query() | {'by': 'user-day'})}",
        }
        return aiohttp_jinja2.render_template("user.html", request, context, status=503 if found["fault"] else 200)


def sighting_of(document: Mapping[str, Any], request_id: str) -> Mapping[str, Any] | None:
    """The error or refusal with this id, if it is among the last."""
    return next(
        (each for each in (*document["failures"], *document["refused"]) if each["request_id"] == request_id), None
    )


def user_url(user: str, period: str) -> str:
    """Where one user's month is shown."""
    return f"/usage/user?{urlencode({'user': user, 'period': period}, errors='replace')}"


def clock(moment: str) -> str:
    """`03:12:08 UTC` of a moment in RFC 3339."""
    return f"{datetime.fromisoformat(moment):%H:%M:%S} UTC"


def breakable(code: str) -> Markup:
    """A code that may be broken after its underscores."""
    return Markup("_<wbr>").join(map(escape, code.split("_")))


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "amount": wording.amount,
    "area": lambda values, top: sparkline.area(values, STEPS, top),
    "breakable": breakable,
    "clock": clock,
    "lasting": wording.lasting,
    "line": lambda values, top: sparkline.line(values, STEPS, top),
    "number": wording.number,
    "rate": wording.rate,
    "seconds": wording.seconds,
    "share": wording.share,
}
