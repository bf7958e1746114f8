"""A user's program, read by type checkers and never run: each expression has exactly the type that is said here."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import assert_type

import gatewayd_sdk as sdk


def blocking(gateway: sdk.Gateway) -> None:
    letter = gateway.email.process("text", subject="subject", sender=None)
    assert_type(letter, sdk.ProcessedEmail)
    assert_type(letter.category, str)
    assert_type(letter.request_id, str | None)
    assert_type(letter.rate_limit, sdk.RateLimit | None)
    assert_type(letter.usage, sdk.Usage)
    assert_type(gateway.email.respond(letter.id, tone="formal"), sdk.EmailReply)
    assert_type([each for each in gateway.email.history()], list[sdk.EmailSummary])  # noqa: C416
    assert_type(gateway.email.history_page().next_cursor, str | None)
    assert_type(gateway.rag.chat("?"), sdk.ChatAnswer)
    assert_type(gateway.rag.chat("?", stream=False), sdk.ChatAnswer)
    assert_type(gateway.rag.chat("?", top_k=3, stream=True), sdk.ChatStream)
    with gateway.rag.chat("?", stream=True) as stream:
        for event in stream:
            assert_type(event, sdk.ChatEvent)
        assert_type(stream.result(), sdk.ChatAnswer)
    assert_type(gateway.rag.upload_document("a.txt", progress=lambda sent, size: None), sdk.UploadedDocument)
    assert_type(gateway.rag.upload_document(Path("a.txt")), sdk.UploadedDocument)
    assert_type(gateway.rag.upload_document(b"bytes", filename="a.txt"), sdk.UploadedDocument)
    assert_type(gateway.rag.upload_document(iter([b"a"])), sdk.UploadedDocument)
    with Path("a.txt").open("rb") as file:
        assert_type(gateway.rag.upload_document(file), sdk.UploadedDocument)
    assert_type(gateway.rag.list_documents().documents, tuple[sdk.Document, ...])
    assert_type(gateway.scraper.scrape("http://a", selectors=["h1"]), sdk.ScrapedPage)
    assert_type(gateway.support.chat("hello", session=None), sdk.SupportReply)
    assert_type(gateway.support.create_ticket("subject", priority="urgent"), sdk.Ticket)
    assert_type(gateway.support.get_ticket("TCK-1"), sdk.Ticket)
    with gateway.support.connect() as session:
        assert_type(session, sdk.SupportSession)
        assert_type(session.ask("hello"), sdk.SupportMessage)
        assert_type([each.reply for each in session], list[str | None])
    assert_type(gateway.aiops.analyze({"cpu": [1, 2.5], "disk": [{"t": 1, "v": 2}]}), sdk.Diagnosis)
    assert_type(gateway.usage.current().units[0].remaining, int | None)
    assert_type(gateway.agents.list().agents, tuple[sdk.Agent, ...])
    assert_type(gateway.request("POST", "/api/x", json=[1], query={"q": 1}), sdk.Response)
    with gateway.stream("GET", "/api/x") as response:
        assert_type(response, sdk.ResponseStream)
        assert_type([each.name for each in response], list[str])
        assert_type(response.read(), bytes)
    assert_type(gateway.with_options(timeout=sdk.Timeout(total=None), token=lambda: "t"), sdk.Gateway)
    raw = gateway.with_raw_response
    assert_type(raw.email.process("text", subject="s"), sdk.RawResponse[sdk.ProcessedEmail])
    assert_type(raw.email.process("text").parse(), sdk.ProcessedEmail)
    assert_type(raw.rag.chat("?").parse(), sdk.ChatAnswer)


async def asynchronous(gateway: sdk.AsyncGateway) -> None:
    assert_type(await gateway.email.process("text"), sdk.ProcessedEmail)
    assert_type([each async for each in gateway.email.history()], list[sdk.EmailSummary])
    assert_type(await gateway.rag.chat("?"), sdk.ChatAnswer)
    assert_type(await gateway.rag.chat("?", stream=True), sdk.AsyncChatStream)
    async for event in gateway.rag.chat("?", stream=True):
        assert_type(event, sdk.ChatEvent)
    async with gateway.rag.chat("?", stream=True) as stream:
        async for event in stream:
            assert_type(event.sources, tuple[sdk.Source, ...])
        assert_type(await stream.result(), sdk.ChatAnswer)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"

    assert_type(await gateway.rag.upload_document(pieces(), filename="a.txt"), sdk.UploadedDocument)
    assert_type(await gateway.rag.upload_document(Path("a.txt")), sdk.UploadedDocument)
    async with gateway.support.connect() as session:
        assert_type(session, sdk.AsyncSupportSession)
        assert_type(await session.ask("hello"), sdk.SupportMessage)
        async for message in session:
            assert_type(message, sdk.SupportMessage)
    async with gateway.stream("GET", "/api/x") as response:
        assert_type(response, sdk.AsyncResponseStream)
        assert_type([each async for each in response], list[sdk.Event])
    assert_type(await gateway.request("GET", "/api/x"), sdk.Response)
    assert_type(gateway.with_options(max_retries=0), sdk.AsyncGateway)
    raw = gateway.with_raw_response
    assert_type(await raw.support.chat("hello"), sdk.RawResponse[sdk.SupportReply])
    assert_type((await raw.rag.chat("?")).parse(), sdk.ChatAnswer)


def errors(error: sdk.GatewayError) -> float | None:
    assert_type(error.request_id, str | None)
    if isinstance(error, sdk.QuotaExceededError):
        assert_type(error.unit, str | None)
        assert_type(error.used, int | None)
    if isinstance(error, sdk.RateLimitError):
        return error.retry_after
    return None


async def fresh() -> str:
    return "token"


if __name__ == "__main__":
    with sdk.Gateway("http://127.0.0.1:8080", token=lambda: "t", pacer=sdk.Pacer()) as one:
        blocking(one)
    asyncio.run(asynchronous(sdk.AsyncGateway(token=fresh)))
