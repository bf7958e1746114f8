"""A web worker: a small site that asks the agents in the name of each of its visitors, over one client.

export GATEWAYD_BASE_URL=http://127.0.0.1:8080
python sdk/examples/web_worker.py 8000
curl -N "http://127.0.0.1:8000/ask?question=What+is+a+gateway" -H "Authorization: Bearer $GATEWAYD_TOKEN"
"""

import sys
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Handler
from gatewayd_sdk import APIStatusError, AsyncGateway, GatewayError

GATEWAY = web.AppKey("gateway", AsyncGateway)


async def gateway(app: web.Application) -> AsyncIterator[None]:
    """One client for the life of the worker: its connections are kept, and closed at the end."""
    async with AsyncGateway() as app[GATEWAY]:
        yield


def of_visitor(request: web.Request) -> AsyncGateway:
    """The same connections with the visitor's own token, so that each visitor's own quota counts."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return request.app[GATEWAY].with_options(token=token) if token else request.app[GATEWAY]


async def ask(request: web.Request) -> web.StreamResponse:
    """Passes an answer on word by word. A visitor who leaves ends the agent's work."""
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    async with of_visitor(request).rag.chat(request.query["question"], stream=True) as stream:
        await response.prepare(request)
        async for event in stream:
            await response.write(event.text.encode())
    await response.write_eof()
    return response


async def upload(request: web.Request) -> web.Response:
    """Passes a document on while it arrives: the worker never holds it whole."""
    name = request.query["name"]
    document = await of_visitor(request).rag.upload_document(request.content.iter_any(), filename=name)
    return web.json_response({"id": document.id, "passages": document.passages}, status=201)


@web.middleware
async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The gateway's refusals are passed on as they are; whatever else goes wrong there is a 502 of ours."""
    try:
        return await handler(request)
    except APIStatusError as error:
        retry = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:.0f}"}
        return web.json_response({"error": error.code, "request": error.request_id}, status=error.status, headers=retry)
    except GatewayError as error:
        return web.json_response({"error": str(error)}, status=502)


def create_app() -> web.Application:
    app = web.Application(middlewares=[faults])
    app.cleanup_ctx.append(gateway)
    app.add_routes([web.get("/ask", ask), web.post("/documents", upload)])
    return app


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    web.run_app(create_app(), host="127.0.0.1", port=port, handler_cancellation=True)
