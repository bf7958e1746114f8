"""A body that is read while it is sent, by a thread, so that no disk holds up the loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from gatewayd_sdk._core.uploads import Upload


class Pieces:
    """An upload as it goes out. `failure` is what the reading raised: aiohttp hides it behind its own errors."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self.failure: BaseException | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            yield self._upload.before
            sent = 0
            async for piece in _given(self._upload.source.pieces()):
                yield piece
                sent += len(piece)
                self._upload.tell(sent)
            yield self._upload.after
        except Exception as error:
            self.failure = error
            raise


async def _given(pieces: Iterator[bytes] | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(pieces, AsyncIterator):
        async for piece in pieces:
            yield piece
        return
    while piece := await asyncio.to_thread(_next, pieces):
        yield piece


def _next(pieces: Iterator[bytes]) -> bytes:
    """The next that is not empty, b"" at the end."""
    return next(filter(None, pieces), b"")
