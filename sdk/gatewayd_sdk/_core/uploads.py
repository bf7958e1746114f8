"""A file as multipart/form-data (RFC 7578), in pieces: what stands before it, the file, what stands after it."""

import mimetypes
import secrets
from collections.abc import Callable
from typing import Final, TypeAlias

from gatewayd_sdk._core.errors import ConfigurationError
from gatewayd_sdk._core.options import checked_fields
from gatewayd_sdk._core.sources import Source

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the bytes of the file that were handed over so far, and its size (None when that is not known)."""
_ESCAPES: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})  # as browsers do (WHATWG HTML 4.10.21.8)


class Upload:
    """The body of a request, made while it is sent. Mutable: a stream knows that it was begun."""

    def __init__(self, source: Source, before: bytes, after: bytes, progress: Progress | None = None) -> None:
        self.source = source
        self.before = before
        self.after = after
        self.progress = progress

    @property
    def length(self) -> int | None:
        """The whole body's, in bytes."""
        size = self.source.size
        return None if size is None else len(self.before) + size + len(self.after)

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent (again)."""
        return self.source.replayable or not self.source.begun

    def tell(self, sent: int) -> None:
        if self.progress is not None:
            self.progress(sent, self.source.size)


def file_form(
    source: Source, *, title: str | None, filename: str | None, content_type: str | None, progress: Progress | None
) -> tuple[dict[str, str], Upload]:
    """Header fields and body of a form with the file in the field `file`; its type, if not given, by its name."""
    name = filename or source.name or "document"
    kind = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    checked_fields({"content-type": kind})
    boundary = f"gatewayd-{secrets.token_hex(16)}"
    parts = "" if title is None else _part(boundary, 'name="title"') + f"\r\n{title}\r\n"
    parts += _part(boundary, f'name="file"; filename="{name.translate(_ESCAPES)}"') + f"Content-Type: {kind}\r\n\r\n"
    upload = Upload(source, _encoded(parts), f"\r\n--{boundary}--\r\n".encode(), progress)
    fields = {"content-type": f"multipart/form-data; boundary={boundary}"}
    if upload.length is not None:
        fields["content-length"] = str(upload.length)
    return fields, upload


def _part(boundary: str, disposition: str) -> str:
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n"


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError("the title and the name of a file must be Unicode text") from error
