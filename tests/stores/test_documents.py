"""Documents are shared by daemons that count in one Redis, and missed by nobody when it is away."""

import logging

import pytest

from gatewayd.errors import StoreError
from gatewayd.stores.documents import open_documents
from tests.valkey import valkey


async def test_a_document_in_this_process_is_found_as_it_was_kept() -> None:
    documents, other = (open_documents("memory:", shared=True) for _ in range(2))
    await documents.keep("a", b"\x00\xff{}", 60)
    assert await documents.find("a") == b"\x00\xff{}"
    assert await documents.find("b") is await other.find("a") is None
    await documents.close()


async def test_daemons_that_share_a_redis_find_each_others_documents() -> None:
    with valkey() as server:
        one, two = (open_documents(server.url, shared=True) for _ in range(2))
        apart = open_documents(server.url, shared=False)
        await one.keep("a", b"\x00\xff{}", 60)
        assert await two.find("a") == b"\x00\xff{}"
        assert await apart.find("a") is None
        assert server.say("TTL", "gatewayd:a") in (b":59", b":60")
        for each in (one, two, apart):
            await each.close()


async def test_a_redis_that_is_away_has_nothing_and_is_told_once_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with valkey() as server:
        documents = open_documents(server.url, shared=True)
        await documents.keep("a", b"{}", 60)
        server.kill()
        for _ in range(3):
            assert await documents.find("a") is None
            await documents.keep("a", b"{}", 60)
        assert len(caplog.records) == 1
        server.start()
        await documents.keep("a", b"{}", 60)
        assert await documents.find("a") == b"{}"
        await documents.close()


async def test_a_redis_that_stands_still_is_given_up_soon(caplog: pytest.LogCaptureFixture) -> None:
    with valkey() as server, caplog.at_level(logging.WARNING):
        documents = open_documents(server.url, shared=True)
        server.freeze()
        assert await documents.find("a") is None
        server.thaw()
        await documents.close()


def test_an_address_that_is_none_is_refused_without_quoting_it() -> None:
    with pytest.raises(StoreError) as caught:
        open_documents("redis://:hunter2@/x/y", shared=True)
    assert "hunter2" not in str(caught.value)
