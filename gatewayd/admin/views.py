"""What operators are shown."""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gatewayd.admin.access import Access
from gatewayd.admin.api import Api
from gatewayd.admin.headers import SECURITY, dress
from gatewayd.admin.observatory import Observatory, Silent
from gatewayd.admin.pages import Pages
from gatewayd.admin.questions import UsageQuestions
from gatewayd.admin.usage import UsageDesk
from gatewayd.errors import Refusal


def guarded_by(access: Access) -> Middleware:
    """Lets in whom `access` admits, and dresses every answer for a browser."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            await access.admit(request)
            response = await handler(request)
        except Silent:
            response = web.Response(status=503, text="The daemon does not answer.", headers={"Retry-After": "1"})
        except web.HTTPException as refusal:
            dress(refusal)
            raise
        if not response.prepared:
            dress(response)
        return response

    return guard


def malformed(_request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
    """The answer to what was not HTTP: it says so, and quotes nothing."""
    return web.Response(status=refusal.status, text=refusal.title, headers=SECURITY)


def make_admin_app(observatory: Observatory, usage: UsageDesk, access: Access) -> web.Application:
    """The application of the admin listener."""
    app = web.Application(middlewares=[guarded_by(access)])
    questions = UsageQuestions(usage)
    pages = Pages(observatory, questions)
    pages.setup(app)
    Api(observatory, questions).setup(app)

    async def close(_app: web.Application) -> None:
        await pages.live.close()

    app.on_shutdown.append(close)
    return app
