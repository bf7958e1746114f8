"""What all agents share: JSON errors, health, bounded bodies."""

import gzip

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient

from gatewayd.demo.api import answer, application, query_integer, read_fields, rfc3339, user_of


async def echo(request: web.Request) -> web.Response:
    fields = await read_fields(request)
    return answer({"user": user_of(request), "text": fields.text("text")})


async def number(request: web.Request) -> web.Response:
    return answer({"n": query_integer(request, "n", default=7, low=1, high=100)})


async def teapot(_: web.Request) -> web.Response:
    raise web.HTTPGone


def make_app() -> web.Application:
    routes = [("POST", "/echo", echo), ("GET", "/number", number), ("GET", "/gone", teapot)]
    return application("sample", "/api/sample", routes, max_body=2_000)


async def test_the_base_path_belongs_to_every_route(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(make_app())
    assert (await client.post("/api/sample/echo", json={"text": "a"})).status == 200
    assert (await client.post("/echo", json={"text": "a"})).status == 404


async def test_health_names_the_agent_and_answers_head_too(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(make_app())
    response = await client.get("/api/sample/health")
    assert (response.status, await response.json()) == (200, {"status": "ok", "agent": "sample"})
    assert (await client.head("/api/sample/health")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        pytest.param("GET", "/other", None, 404, "not_found", id="no such path"),
        pytest.param("DELETE", "/echo", None, 405, "method_not_allowed", id="no such method"),
        pytest.param("POST", "/echo", b"{", 400, "invalid_json", id="bad JSON"),
        pytest.param("POST", "/echo", b"{}", 400, "invalid_field", id="absent field"),
        pytest.param("POST", "/echo", b" " * 3_000, 413, "body_too_large", id="too large"),
        pytest.param("GET", "/gone", None, 410, "refused", id="any other refusal of the framework"),
    ],
)
async def test_every_refusal_is_json(
    aiohttp_client: AiohttpClient, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    client = await aiohttp_client(make_app())
    response = await client.request(method, f"/api/sample{path}", data=body)
    assert response.status == status
    assert response.content_type == "application/json"
    assert (await response.json())["error"]["code"] == code


async def test_a_method_that_is_not_allowed_is_told_which_are(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(make_app())
    assert (await client.get("/api/sample/echo")).headers["Allow"] == "POST"


async def test_a_compressed_body_is_read_and_a_false_one_is_a_400(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(make_app())
    headers = {"Content-Encoding": "gzip"}
    good = await client.post("/api/sample/echo", data=gzip.compress(b'{"text": "a"}'), headers=headers)
    assert (await good.json())["text"] == "a"
    false = await client.post("/api/sample/echo", data=b"not gzip", headers=headers)
    assert false.status == 400


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(make_app())
    bomb = gzip.compress(b" " * 10_000_000)
    response = await client.post("/api/sample/echo", data=bomb, headers={"Content-Encoding": "gzip"})
    assert response.status in (400, 413)


@pytest.mark.parametrize(("user", "expected"), [("ada", "ada"), ("", "anonymous"), (None, "anonymous")])
async def test_the_user_is_who_the_gateway_says(aiohttp_client: AiohttpClient, user: str | None, expected: str) -> None:
    client = await aiohttp_client(make_app())
    headers = {} if user is None else {"X-User-ID": user}
    response = await client.post("/api/sample/echo", json={"text": "a"}, headers=headers)
    assert (await response.json())["user"] == expected


@pytest.mark.parametrize("text", ["0", "101", "-1", "1.5", "", "x", "²", "9" * 5000])
async def test_a_query_that_is_no_number_within_bounds_is_a_400(aiohttp_client: AiohttpClient, text: str) -> None:
    client = await aiohttp_client(make_app())
    assert (await client.get("/api/sample/number", params={"n": text})).status == 400


async def test_a_query_number_is_read_or_has_its_default(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(make_app())
    assert await (await client.get("/api/sample/number?n=100")).json() == {"n": 100}
    assert await (await client.get("/api/sample/number")).json() == {"n": 7}


def test_times_are_rfc_3339_in_utc() -> None:
    assert rfc3339(1_764_000_000.9) == "2025-11-24T16:00:00Z"
