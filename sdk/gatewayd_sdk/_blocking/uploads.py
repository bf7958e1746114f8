"""A body that is read while it is sent."""

from collections.abc import AsyncIterator, Iterator

from gatewayd_sdk._core.errors import ConfigurationError
from gatewayd_sdk._core.uploads import Upload


def pieces_of(upload: Upload) -> Iterator[bytes]:
    """Raises ConfigurationError for a file that cannot be read, and whatever a stream of the caller's raises."""
    pieces = upload.source.pieces()
    if isinstance(pieces, AsyncIterator):
        raise ConfigurationError("an asynchronous stream is for AsyncGateway; here, give a path, bytes or a file")
    yield upload.before
    sent = 0
    for piece in pieces:
        yield piece
        sent += len(piece)
        upload.tell(sent)
    yield upload.after
