"""As much of HTTP/1.1 as callers and the agent need, written apart from the gateway's own: it judges that one."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Head:
    """A request's or an answer's: its first line in three words, and its fields by lower-case name."""

    words: tuple[str, str, str]
    fields: Mapping[str, str]

    @classmethod
    def parsed(cls, text: bytes) -> Self:
        """Raises ValueError for what is no head."""
        first, *lines = text.decode("latin-1").split("\r\n")
        one, two, three = (first + " ").split(" ", 2)
        pairs = (line.split(":", 1) for line in lines if line)
        return cls((one, two, three.rstrip()), {name.lower(): value.strip() for name, value in pairs})

    @property
    def target(self) -> str:
        return self.words[1]

    @property
    def status(self) -> int:
        return int(self.words[1])


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Raises IncompleteReadError and OSError for a connection that broke, ValueError for what is no head."""
    return Head.parsed((await reader.readuntil(b"\r\n\r\n"))[:-4])


async def read_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    """All of the body; raises IncompleteReadError and OSError when it broke off, ValueError for bad framing."""
    if head.fields.get("transfer-encoding") == "chunked":
        return await _read_chunks(reader)
    return await reader.readexactly(int(head.fields["content-length"])) if "content-length" in head.fields else b""


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body
