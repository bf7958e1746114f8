"""The earlier design: FastAPI, a middleware for each policy, SQL on the event loop, bodies whole.

`python -m tests.bench.plane.earlier PORT URL DATABASE`. It is kept as it was meant, mistakes and all.
"""

import json
import logging
import os
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

Next = Callable[[Request], Awaitable[Response]]

SCHEMA = """
CREATE TABLE IF NOT EXISTS quotas (user_id TEXT PRIMARY KEY, used INTEGER NOT NULL, quota INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS usage (id INTEGER PRIMARY KEY, user_id TEXT, path TEXT, status INTEGER, at REAL);
"""
QUOTA = 1_000_000_000
PER_MINUTE = 1_000_000_000
MINUTE = 60.0
LOG = logging.getLogger("gateway")


class Earlier:
    """Everything that it knows."""

    def __init__(self, upstream: str, database: Path, secret: str) -> None:
        self._upstream = upstream
        self._database = database
        self._secret = secret
        self._client = httpx.AsyncClient(timeout=30)
        self._requests: dict[str, list[float]] = defaultdict(list)
        with _connected(database) as db:
            db.executescript(SCHEMA)

    def application(self) -> FastAPI:
        """The middleware that was added last comes first."""
        app = FastAPI()
        for policy in (self._authenticate, self._check_quota, self._limit_rate, self._log):
            app.middleware("http")(policy)
        app.add_api_route("/{path:path}", self._forward, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
        return app

    def _user_of(self, request: Request) -> str | None:
        try:
            token = request.headers["authorization"].removeprefix("Bearer ")
            claims: dict[str, Any] = jwt.decode(token, self._secret, algorithms=["HS256"])
            return str(claims["sub"])
        except (KeyError, jwt.InvalidTokenError):
            return None

    async def _authenticate(self, request: Request, call_next: Next) -> Response:
        if self._user_of(request) is None:
            return JSONResponse({"detail": "Invalid token"}, 401)
        return await call_next(request)

    async def _check_quota(self, request: Request, call_next: Next) -> Response:
        user = self._user_of(request)
        with _connected(self._database) as db:
            db.execute("INSERT OR IGNORE INTO quotas VALUES (?, 0, ?)", (user, QUOTA))
            used, quota = db.execute("SELECT used, quota FROM quotas WHERE user_id = ?", (user,)).fetchone()
        if used >= quota:
            return JSONResponse({"detail": "Quota exceeded"}, 402)
        response = await call_next(request)
        with _connected(self._database) as db:
            db.execute("UPDATE quotas SET used = used + 1 WHERE user_id = ?", (user,))
            row = (user, request.url.path, response.status_code, time.time())
            db.execute("INSERT INTO usage (user_id, path, status, at) VALUES (?, ?, ?, ?)", row)
        return response

    async def _limit_rate(self, request: Request, call_next: Next) -> Response:
        user, now = self._user_of(request) or "", time.time()
        self._requests[user] = [at for at in self._requests[user] if now - at < MINUTE]
        if len(self._requests[user]) >= PER_MINUTE:
            return JSONResponse({"detail": "Too many requests"}, 429)
        self._requests[user].append(now)
        return await call_next(request)

    async def _log(self, request: Request, call_next: Next) -> Response:
        begun = time.time()
        response = await call_next(request)
        took = time.time() - begun
        LOG.info(json.dumps({"path": request.url.path, "status": response.status_code, "seconds": took}))
        return response

    async def _forward(self, request: Request, path: str) -> Response:
        headers = {name: value for name, value in request.headers.items() if name not in {"host", "content-length"}}
        answer = await self._client.request(
            request.method,
            f"{self._upstream}/{path}",
            params=dict(request.query_params),
            headers=headers,
            content=await request.body(),
        )
        return Response(answer.content, answer.status_code, dict(answer.headers))


class _connected:  # noqa: N801  # it reads as one word of a `with`
    """A connection for these statements, committed and closed at the end."""

    def __init__(self, database: Path) -> None:
        self._db = sqlite3.connect(database)

    def __enter__(self) -> sqlite3.Connection:
        return self._db

    def __exit__(self, *_: object) -> None:
        self._db.commit()
        self._db.close()


def main() -> None:
    port, upstream, database = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    app = Earlier(upstream, Path(database), os.environ["SECRET"]).application()
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
