"""The aiops agent: reads metrics and says what is unusual, since when, and what to do."""

import asyncio
from typing import Final

from aiohttp import web

from gatewayd.demo.api import answer, application, read_fields
from gatewayd.demo.diagnosis import diagnose
from gatewayd.demo.measurements import read_metrics

BASE: Final = "/api/aiops"
_MAX_BODY: Final = 4 * 1024 * 1024


def create_app() -> web.Application:
    """The agent, mounted under `BASE`; it keeps nothing."""
    return application("aiops", BASE, [("POST", "/analyze", _analyze)], max_body=_MAX_BODY)


async def _analyze(request: web.Request) -> web.Response:
    fields = await read_fields(request)
    sensitivity = fields.number("sensitivity", default=1.0, low=0.1, high=10.0)
    metrics = read_metrics(fields)
    return answer(await asyncio.to_thread(diagnose, metrics, sensitivity))
