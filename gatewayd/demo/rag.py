"""The rag agent: takes documents in, finds the passages that answer a question, quotes them with their sources."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from aiohttp import web

from gatewayd.demo.api import MAX_BODY, answer, application, read_fields, user_of
from gatewayd.demo.fields import Fault
from gatewayd.demo.library import Document, Library, Reply, count_words
from gatewayd.demo.passages import read_document
from gatewayd.demo.shelves import Recent
from gatewayd.demo.uploads import read_upload

BASE: Final = "/api"
_MOST_TITLE: Final = 200


def create_app(
    *,
    token_delay: float = 0.02,
    max_upload: int = MAX_BODY,
    now: Callable[[], float] = time.time,
    documents: int = 50,
    users: int = 20,
) -> web.Application:
    """The agent, mounted under `BASE`.

    `token_delay` is the pause in seconds between the pieces of a streamed answer, `max_upload` the size of a
    file in bytes; each of the `users` seen last has a library of up to `documents`, and of two such files' text.
    """
    agent = _RagAgent(
        token_delay,
        max_upload,
        now,
        lambda _: Library(most_documents=documents, most_characters=2 * max_upload),
        users,
    )
    routes = [
        ("POST", "/chat", agent.chat),
        ("GET", "/documents", agent.documents),
        ("POST", "/documents/upload", agent.upload),
        ("DELETE", "/documents/{id}", agent.delete),
    ]
    return application("rag", BASE, routes)


class _RagAgent:
    def __init__(
        self,
        token_delay: float,
        max_upload: int,
        now: Callable[[], float],
        make: Callable[[str], Library],
        users: int,
    ) -> None:
        self._token_delay = token_delay
        self._max_upload = max_upload
        self._now = now
        self._libraries = Recent(make, users)

    async def documents(self, request: web.Request) -> web.Response:
        documents = self._libraries.of(user_of(request)).newest_first()
        return answer({"documents": [each.document for each in documents], "count": len(documents)})

    async def upload(self, request: web.Request) -> web.Response:
        upload = await read_upload(request, self._max_upload)
        kind, text = await asyncio.to_thread(read_document, upload.data, upload.content_type, upload.filename)
        if len(text) > 2 * self._max_upload:
            raise Fault(413, "text_too_long", "the file's text is too long")
        key = f"doc_{secrets.token_hex(8)}"
        passages = await asyncio.to_thread(count_words, key, text)
        if not passages:
            raise Fault(400, "empty_document", "the file has no text")
        document = Document(key, upload.title[:_MOST_TITLE], kind, len(text), len(passages), self._now())
        evicted = self._libraries.of(user_of(request)).add(document, passages)
        return answer({**document.document, "evicted": evicted}, 201)

    async def delete(self, request: web.Request) -> web.Response:
        if not self._libraries.of(user_of(request)).remove(request.match_info["id"]):
            raise Fault(404, "unknown_document", "there is no document of this id")
        return web.Response(status=204)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        fields = await read_fields(request)
        question = fields.text("question", most=2_000)
        most = fields.integer("top_k", default=3, low=1, high=20)
        stream = fields.flag("stream")
        reply = self._libraries.of(user_of(request)).reply(question, most)
        usage = {
            "question_words": len(question.split()),
            "answer_words": len(reply.answer.split()),
            "passages": len(reply.sources),
        }
        if stream:
            return await self._stream(request, reply, usage)
        return answer({**asdict(reply), "usage": usage})

    async def _stream(self, request: web.Request, reply: Reply, usage: dict[str, int]) -> web.StreamResponse:
        """Server-sent events: the sources, the answer word by word, then what it took."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        await response.write(_event("sources", {"sources": [asdict(source) for source in reply.sources]}))
        for piece in re.findall(r"\S+\s*", reply.answer):
            await response.write(_event("token", {"text": piece}))
            await asyncio.sleep(self._token_delay)
        await response.write(_event("done", {"usage": usage}))
        await response.write_eof()
        return response


def _event(name: str, data: dict[str, object]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
