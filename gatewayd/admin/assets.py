"""The page's style, script and sign, served from memory under addresses that change with their content."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from aiohttp import web

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    body: bytes
    content_type: str
    digest: str


def _read() -> dict[str, Asset]:
    found = {}
    for file in files("gatewayd.admin").joinpath("static").iterdir():
        body = file.read_bytes()
        kind = _TYPES[file.name.rpartition(".")[2]]
        found[file.name] = Asset(body, kind, hashlib.sha256(body).hexdigest()[:12])
    return found


ASSETS: Final = _read()


def address(name: str) -> str:
    """Where the browser finds it. Raises KeyError for what there is not."""
    return f"/static/{name}?v={ASSETS[name].digest}"


async def serve(request: web.Request) -> web.Response:
    """An asset; kept for ever by whoever asked for just this content."""
    asset = ASSETS.get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound
    response = web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8")
    if request.query.get("v") == asset.digest:
        response.headers["Cache-Control"] = _FOR_EVER
    return response
