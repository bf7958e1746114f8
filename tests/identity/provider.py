"""An identity provider for tests: a real server that publishes keys, rotates them, fails as it is told, and counts."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from tests.identity.forging import key_kind, make_key, private_key

PATH = "/keys"
DISCOVERY = "/.well-known/openid-configuration"


def jwk(key: PrivateKeyTypes, algorithm: str, **members: object) -> dict[str, object]:
    """The public half as providers publish it; a member that is `...` is left out."""
    made: dict[str, Any] = dict(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True))
    made = {**made, "alg": algorithm, "use": "sig", **members}
    made.pop("key_ops", None) if "key_ops" not in members else None
    return {name: value for name, value in made.items() if value is not ...}


class IdentityProvider:
    """Signs with the last of its keys. Mutable: tests command it."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self.keys: dict[str, PrivateKeyTypes] = {}
        self.published: list[str] = []  # ids, or nothing for all
        self.body: bytes | None = None  # instead of the keys
        self.status = 200
        self.headers: dict[str, str] = {}
        self.gate = asyncio.Event()  # closed, nobody is answered
        self.gate.set()
        self.asked: list[str] = []
        self.came = asyncio.Event()  # somebody asked for keys
        self.discovery: dict[str, object] = {}
        self.url = ""

    def rotate(self, key_id: str | None = None, key: PrivateKeyTypes | None = None, *, keep: int = 1000) -> str:
        """A new key to sign with; `keep` are published, the newest."""
        key_id = key_id or f"key-{len(self.keys) + 1}"
        self.keys[key_id] = key or make_key(key_kind(self.algorithm))
        self.published = list(self.keys)[-keep:]
        return key_id

    def token(self, claims: Mapping[str, object], key_id: str | None = None, **header: object) -> str:
        """Signed with the newest key, or with the one named."""
        key_id = key_id or list(self.keys)[-1]
        key: Any = self.keys[key_id]
        return jwt.encode(dict(claims), key, algorithm=self.algorithm, headers={"kid": key_id, **header})

    @property
    def jwks_url(self) -> str:
        return self.url + PATH

    def document(self) -> bytes:
        keys = [jwk(self.keys[each], self.algorithm, kid=each) for each in self.published]
        return json.dumps({"keys": keys}).encode()

    @property
    def fetches(self) -> int:
        """How often keys were asked for."""
        return self.asked.count(PATH)

    async def _keys(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.came.set()
        document = self.document() if self.body is None else self.body
        await self.gate.wait()
        headers = {"Content-Type": "application/json", **self.headers}
        return web.Response(body=document, status=self.status, headers=headers)

    async def _configuration(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        return web.json_response({"issuer": self.url, "jwks_uri": self.jwks_url, **self.discovery})

    @asynccontextmanager
    async def serving(self, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        """Answers on this port, or any; may be done again."""
        app = web.Application()
        app.router.add_get(PATH, self._keys)
        app.router.add_get(DISCOVERY, self._configuration)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        name = runner.addresses[0]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{name[1]}"
        try:
            yield
        finally:
            self.gate.set()
            await runner.cleanup()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@asynccontextmanager
async def identity_provider(algorithm: str = "ES256") -> AsyncIterator[IdentityProvider]:
    """One with one key."""
    provider = IdentityProvider(algorithm)
    provider.rotate(key=private_key(key_kind(algorithm)))
    async with provider.serving():
        yield provider
