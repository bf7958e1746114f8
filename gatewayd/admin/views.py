"""What operators are shown, and who may look: anybody on loopback, elsewhere whoever has the token."""

import hmac

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gatewayd.admin.api import Api
from gatewayd.admin.headers import SECURITY, dress
from gatewayd.admin.observatory import Observatory, Silent
from gatewayd.admin.pages import Pages
from gatewayd.admin.questions import UsageQuestions
from gatewayd.admin.usage import UsageDesk
from gatewayd.config.settings import Secret
from gatewayd.errors import Refusal, TokenInvalid
from gatewayd.identity.base import bearer_token
from gatewayd.keys import secret_bytes


def guarded_by(token: Secret | None) -> Middleware:
    """Asks for the token if there is one (compared in constant time), and dresses every answer for a browser."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if token is not None and not _proves(request, token):
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer realm="gatewayd admin"'})
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


def _proves(request: web.Request, token: Secret) -> bool:
    try:
        sent = bearer_token(request.headers.getall("Authorization", ()))
    except TokenInvalid:
        return False
    return sent is not None and hmac.compare_digest(sent.encode(), secret_bytes(token.reveal()))


def malformed(_request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
    """The answer to what was not HTTP: it says so, and quotes nothing."""
    return web.Response(status=refusal.status, text=refusal.title, headers=SECURITY)


def make_admin_app(observatory: Observatory, usage: UsageDesk, token: Secret | None) -> web.Application:
    """The application of the admin listener."""
    app = web.Application(middlewares=[guarded_by(token)])
    questions = UsageQuestions(usage)
    pages = Pages(observatory, questions)
    pages.setup(app)
    Api(observatory, questions).setup(app)

    async def close(_app: web.Application) -> None:
        await pages.live.close()

    app.on_shutdown.append(close)
    return app
