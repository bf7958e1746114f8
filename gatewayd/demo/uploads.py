"""A multipart/form-data body (RFC 7578), read as it arrives and never past its limit."""

from dataclasses import dataclass
from typing import Final

from aiohttp import BodyPartReader, MultipartReader, web

from gatewayd.demo.fields import Fault

_MOST_PARTS: Final = 8
_MOST_TITLE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Upload:
    """The field `file`; `title` is the field of that name, else the file's name. `content_type` may be empty."""

    data: bytes
    content_type: str
    filename: str
    title: str


async def read_upload(request: web.Request, most: int) -> Upload:
    """Reads the form; raises `Fault`: 415 for another type, 413 past `most` bytes, 400 for a form without a file."""
    if request.content_type != "multipart/form-data":
        raise Fault(415, "unsupported_type", "send multipart/form-data with the file in the field named file")
    try:
        parts = await _parts(await request.multipart(), most)
    except (ValueError, web.RequestPayloadError) as error:
        raise Fault(400, "invalid_form", "the form is malformed") from error
    if (file := parts.get("file")) is None:
        raise Fault(400, "file_missing", "the form has no field named file")
    title = parts["title"].data.decode("utf-8", "replace").strip() if "title" in parts else ""
    return Upload(file.data, file.content_type, file.filename, title or file.filename or "untitled")


async def _parts(reader: MultipartReader, most: int) -> dict[str, Upload]:
    """The first part of each of the names that count; the others are read and dropped."""
    found: dict[str, Upload] = {}
    for _ in range(_MOST_PARTS):
        if (part := await reader.next()) is None:
            return found
        if not isinstance(part, BodyPartReader):
            break
        name = part.name or ""
        upload = await _read(part, most if name == "file" else _MOST_TITLE)
        found.setdefault(name, upload)
    raise ValueError("too many parts, or parts within parts")


async def _read(part: BodyPartReader, most: int) -> Upload:
    data = bytearray()
    while chunk := await part.read_chunk():
        data += chunk
        if len(data) > most:
            raise Fault(413, "body_too_large", f"a field is longer than its {most} bytes")
    content_type = part.headers.get("Content-Type", "").partition(";")[0].strip()
    return Upload(bytes(data), content_type, part.filename or "", "")
