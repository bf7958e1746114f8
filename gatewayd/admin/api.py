"""The same for programs: JSON, CSV and Prometheus' text. Everything is GET, and changes nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from gatewayd.admin.csvfile import attachment, csv_text
from gatewayd.admin.observatory import Observatory
from gatewayd.admin.pages import NEAREST_PATIENCE, sighting_of
from gatewayd.admin.questions import TABLES, UsageQuestion, UsageQuestions
from gatewayd.errors import StoreError


class Api:
    """Over what was observed, and what the ledger says."""

    def __init__(self, observatory: Observatory, questions: UsageQuestions) -> None:
        self._observatory = observatory
        self._questions = questions

    def setup(self, app: web.Application) -> None:
        """Addresses."""
        app.router.add_get("/api/overview", self.overview)
        app.router.add_get("/api/status", self.status)
        app.router.add_get("/api/requests/{id}", self.request)
        app.router.add_get("/api/usage", self.usage)
        app.router.add_get("/usage.csv", self.csv)
        app.router.add_get("/metrics", self.prometheus)

    async def overview(self, _request: web.Request) -> web.Response:
        """What the page shows, and `gatewayd top`."""
        return document(await self._observatory.overview(NEAREST_PATIENCE))

    async def status(self, _request: web.Request) -> web.Response:
        """What `gatewayd status --json` says."""
        return document(await self._observatory.status())

    async def request(self, request: web.Request) -> web.Response:
        """One request that went wrong, with each policy's decision."""
        found = sighting_of(await self._observatory.overview(), request.match_info["id"])
        return document(found or {"error": "it is not among the last errors and refusals"}, 200 if found else 404)

    async def usage(self, request: web.Request) -> web.Response:
        """A month's use; of one user alone with `of`."""
        present = self._questions.period()
        question = UsageQuestion.asked(request.query, present)
        if (user := request.query.get("of")) is not None:
            answer = await self._questions.usage_of(UsageQuestion(question.period, user))
        else:
            answer = await self._questions.usage(question)
        return document({"period": question.period, **answer}, 503 if answer["fault"] else 200)

    async def csv(self, request: web.Request) -> web.Response:
        """A whole table to save."""
        by = request.query.get("by", "user")
        if by not in TABLES:
            raise web.HTTPBadRequest(text=f"by is one of {', '.join(TABLES)}")
        question = UsageQuestion.asked(request.query, self._questions.period())
        try:
            columns, rows = await self._questions.everything(question, by)
        except StoreError as error:
            raise web.HTTPServiceUnavailable(text=str(error), headers={"Retry-After": "5"}) from None
        text = await asyncio.to_thread(csv_text, columns, rows)  # of 100,000 users that takes a second
        return attachment(f"usage-{question.period}-by-{by}.csv", text)

    async def prometheus(self, _request: web.Request) -> web.Response:
        """The text format, version 0.0.4."""
        tally = await self._observatory.counted()
        return web.Response(body=tally.text(), headers={"Content-Type": "text/plain; version=0.0.4"})


def document(answer: Mapping[str, Any], status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(status=status, body=orjson.dumps(answer), content_type="application/json")
