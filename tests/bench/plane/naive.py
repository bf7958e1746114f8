"""The proxy that everyone writes by hand with aiohttp, without any policy.

`python -m tests.bench.plane.naive PORT URL`.
"""

import sys
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
from aiohttp import web

from gatewayd.commands.common import new_event_loop

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
    }
)


def application(upstream: str) -> web.Application:
    session: aiohttp.ClientSession

    async def pool(_: web.Application) -> AsyncIterator[None]:
        nonlocal session
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            yield

    async def forward(request: web.Request) -> web.StreamResponse:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        body = await request.read() if request.body_exists else None
        async with session.request(
            request.method, upstream + request.raw_path, headers=headers, data=body, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    response.headers.add(name, value)
            response.content_length = answer.content_length
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    app = web.Application()
    app.cleanup_ctx.append(pool)
    app.router.add_route("*", "/{path:.*}", forward)
    return app


def main() -> None:
    port, upstream = sys.argv[1:]
    web.run_app(
        application(upstream),
        host="127.0.0.1",
        port=int(port),
        print=None,
        access_log=None,
        shutdown_timeout=1,
        loop=new_event_loop(),
    )


if __name__ == "__main__":
    main()
