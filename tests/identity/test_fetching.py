"""One document from where it was asked for, in time and in bounds; anything else is said in a line."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from gatewayd.errors import StartError
from gatewayd.identity.fetching import Unfetched, discovery_url, fetch, jwks_url_in, place, trust
from gatewayd.identity.jwk import MAX_BYTES, Unusable
from tests.certificates import write_certificate
from tests.identity.provider import DISCOVERY, PATH, IdentityProvider, identity_provider
from tests.patience import PATIENCE


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


def answer(**changes: object) -> Callable[[IdentityProvider], None]:
    def change(provider: IdentityProvider) -> None:
        for name, value in changes.items():
            setattr(provider, name, value)

    return change


@pytest.mark.parametrize("kind", ["application/json", "application/jwk-set+json; charset=utf-8", "text/plain"])
async def test_a_document_comes_as_it_is(session: aiohttp.ClientSession, kind: str) -> None:
    async with identity_provider() as provider:
        provider.headers = {"Content-Type": kind}
        assert await fetch(session, provider.jwks_url, timeout=5) == provider.document()
        assert provider.asked == [PATH]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(answer(status=500), "answered 500", id="500"),
        pytest.param(answer(status=404), "answered 404", id="404"),
        pytest.param(answer(status=204, body=b""), "answered 204", id="204"),
        pytest.param(answer(status=302, headers={"Location": "/elsewhere"}), "redirects", id="redirect"),
        pytest.param(answer(status=308, headers={"Location": DISCOVERY}), "redirects", id="redirect within"),
        pytest.param(answer(body=b"x" * (10 * 1024 * 1024)), "more than 1024 KiB", id="10 MB"),
        pytest.param(answer(body=b"x" * (MAX_BYTES + 1)), "more than 1024 KiB", id="a byte too much"),
        pytest.param(answer(headers={"Content-Type": "text/html"}), "not JSON", id="a page"),
        pytest.param(
            answer(body=gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"}), "compressed", id="compressed"
        ),
    ],
)
async def test_anything_else_is_not_taken(
    session: aiohttp.ClientSession, change: Callable[[IdentityProvider], None], reason: str
) -> None:
    async with identity_provider() as provider:
        change(provider)
        with pytest.raises(Unfetched, match=reason) as caught:
            await fetch(session, f"{provider.jwks_url}?key=hidden", timeout=5)
        assert "hidden" not in str(caught.value)
        assert provider.asked == [PATH]


async def test_a_provider_has_its_time_and_no_more(session: aiohttp.ClientSession) -> None:
    async with identity_provider() as provider:
        provider.gate.clear()
        with pytest.raises(Unfetched, match=r"did not answer within 0\.05 s"):
            await fetch(session, provider.jwks_url, timeout=0.05)


async def test_who_is_not_there_cannot_be_reached(session: aiohttp.ClientSession) -> None:
    with pytest.raises(Unfetched, match="cannot be reached"):
        await fetch(session, "http://127.0.0.1:9/keys", timeout=5)


async def test_an_answer_that_breaks_off_is_none(session: aiohttp.ClientSession) -> None:
    async def broken(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n{")
        writer.close()

    server = await asyncio.start_server(broken, "127.0.0.1", 0)
    async with server:
        with pytest.raises(Unfetched, match="cannot be reached"):
            await fetch(session, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", timeout=5)


Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
        await writer.drain()


async def dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def large_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20) + b"\r\nContent-Length: 2\r\n\r\n{}")
    await writer.drain()


async def no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n" * 100)
    await writer.drain()


async def two_lengths(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ")
    await writer.drain()


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        pytest.param(endless, "more than 1024 KiB", id="no end"),
        pytest.param(dripping, "did not answer within", id="byte by byte"),
        pytest.param(large_head, "cannot be reached", id="a head of 1 MiB"),
        pytest.param(no_http, "cannot be reached", id="no HTTP"),
        pytest.param(two_lengths, "cannot be reached", id="two lengths"),
    ],
)
async def test_a_server_that_means_ill_costs_its_time_and_no_more(
    session: aiohttp.ClientSession, write: Write, reason: str
) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await write(writer)
            await reader.read()
        except ConnectionError:
            pass
        finally:
            gone.set()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(Unfetched, match=reason):
            await fetch(session, url, timeout=1 if write is dripping else 20)
        async with asyncio.timeout(PATIENCE):
            await gone.wait()  # it was hung up on


async def test_no_cache_on_the_way_may_answer(session: aiohttp.ClientSession) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        assert await fetch(session, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", timeout=20) == b"{}"
    assert b"\r\nCache-Control: no-cache\r\n" in heads[0]
    assert b"\r\nAccept-Encoding: identity\r\n" in heads[0]


async def test_a_certificate_must_be_from_whom_it_was_said(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    certificate, key = write_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    provider = IdentityProvider()
    provider.rotate()
    async with provider.serving(tls=context):
        assert await fetch(session, provider.jwks_url, timeout=5, tls=trust(certificate)) == provider.document()
        with pytest.raises(Unfetched, match="cannot be reached"):
            await fetch(session, provider.jwks_url, timeout=5, tls=trust(None))


def test_authorities_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("missing", "empty"):
        with pytest.raises(StartError, match=r"^jwks\.ca: cannot use "):
            trust(tmp_path / name)


def test_a_place_is_told_without_its_query() -> None:
    assert place("https://idp.example:8443/keys?code=secret") == "https://idp.example:8443/keys"


ISSUER = "https://idp.example/realms/main"


def configuration(**members: object) -> bytes:
    return json.dumps({"issuer": ISSUER, "jwks_uri": "https://idp.example/keys", **members}).encode()


def test_the_issuer_says_where_its_keys_are() -> None:
    assert discovery_url(ISSUER) == discovery_url(ISSUER + "/") == f"{ISSUER}/.well-known/openid-configuration"
    assert jwks_url_in(configuration(), ISSUER) == "https://idp.example/keys"


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(configuration(issuer="https://evil.example"), id="of another issuer"),
        pytest.param(configuration(issuer=ISSUER + "/"), id="of nearly the same"),
        pytest.param(configuration(issuer=None), id="of nobody"),
        pytest.param(configuration(jwks_uri=None), id="no jwks_uri"),
        pytest.param(configuration(jwks_uri=["https://idp.example/keys"]), id="a list"),
        pytest.param(configuration(jwks_uri="http://idp.example/keys"), id="less than https"),
        pytest.param(configuration(jwks_uri="file:///etc/passwd"), id="a file"),
        pytest.param(configuration(jwks_uri="https://"), id="no host"),
        pytest.param(b"[]", id="not an object"),
        pytest.param(b"<html>", id="a page"),
    ],
)
def test_a_configuration_that_is_not_its_own_or_leads_astray_is_not_followed(document: bytes) -> None:
    with pytest.raises((Unfetched, Unusable)) as caught:
        jwks_url_in(document, ISSUER)
    assert "evil" not in str(caught.value)
