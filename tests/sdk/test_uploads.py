"""Where the bytes of an upload come from, and the form that they are sent in."""

import io
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import gatewayd_sdk as sdk
import pytest
from gatewayd_sdk._core.sources import PIECE, Source, source_of
from gatewayd_sdk._core.uploads import Upload, file_form
from hypothesis import given
from hypothesis import strategies as st


def all_of(source: Source) -> bytes:
    pieces = source.pieces()
    assert isinstance(pieces, Iterator)
    return b"".join(pieces)


def form(source: Source, **options: Any) -> tuple[dict[str, str], Upload]:
    given = {"title": None, "filename": None, "content_type": None, "progress": None, **options}
    return file_form(source, **given)


@given(data=st.binary(max_size=50), times=st.sampled_from([0, 1, 3000]))
def test_bytes_and_files_are_given_in_pieces_again_and_again(data: bytes, times: int) -> None:
    data *= times
    for each in (data, io.BytesIO(data)):
        source = source_of(each)
        assert (source.size, source.replayable) == (len(data), True)
        assert all_of(source) == all_of(source) == data
        assert max(map(len, source.pieces()), default=0) <= PIECE  # type: ignore[arg-type]


def test_a_path_is_opened_when_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"a" * PIECE + b"b")
    source = source_of(str(path))
    assert (source.name, source.size, source.replayable) == ("notes.txt", PIECE + 1, True)
    assert all_of(source) == all_of(source) == path.read_bytes()
    path.write_bytes(b"a" * PIECE + b"bc")
    assert len(all_of(source)) == PIECE + 1
    path.write_bytes(b"a")
    with pytest.raises(sdk.ConfigurationError, match="became shorter"):
        all_of(source)
    path.unlink()
    with pytest.raises(sdk.ConfigurationError, match="cannot be read"):
        all_of(source)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("/nowhere/at/all.txt", "No such file.*give bytes"),
        ("a\0b", "cannot be read"),
        ("/", "no regular file"),
        (7, "not int"),
        (None, "not NoneType"),
    ],
)
def test_what_cannot_be_read_is_refused_before_anything_is_sent(given: Any, told: str) -> None:
    with pytest.raises(sdk.ConfigurationError, match=told):
        source_of(given)


def test_a_stream_is_sent_from_where_it_stands() -> None:
    file = io.BytesIO(b"read before, and after")
    file.read(13)
    source = source_of(file)
    assert source.size == 9
    assert all_of(source) == all_of(source) == b"and after"


def test_a_stream_that_cannot_be_wound_back_is_read_once() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file, os.fdopen(writing, "wb") as other:
        other.write(b"once")
        other.close()
        source = source_of(file)
        assert (source.size, source.replayable, source.begun, source.name) == (None, False, False, "")
        assert all_of(source) == b"once"
    assert source.begun
    assert not Upload(source, b"", b"").repeatable


class Odd:
    """Has `read` and nothing else."""

    def read(self, _: int) -> bytes:
        return b""


def test_anything_with_read_is_a_stream() -> None:
    source = source_of(Odd())  # type: ignore[arg-type]
    assert (source.size, all_of(source)) == (None, b"")


@pytest.mark.parametrize("given", [io.StringIO("text"), iter(["text"])], ids=["file", "pieces"])
def test_text_is_no_bytes(given: Any) -> None:
    with pytest.raises(sdk.ConfigurationError, match="binary mode"):
        all_of(source_of(given))


async def test_pieces_may_come_asynchronously() -> None:
    async def given() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    pieces = source_of(given()).pieces()
    assert isinstance(pieces, AsyncIterator)
    assert [piece async for piece in pieces] == [b"a", b"b"]


def test_the_form_has_the_field_file() -> None:
    told: list[tuple[int, int | None]] = []
    fields, upload = form(
        source_of(b"text"), title="Ä", filename='a"b\r\n.md', progress=lambda *each: told.append(each)
    )
    boundary = fields["content-type"].partition("boundary=")[2]
    body = upload.before + b"text" + upload.after
    assert body.decode() == (
        f'--{boundary}\r\nContent-Disposition: form-data; name="title"\r\n\r\nÄ\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a%22b%0D%0A.md"\r\n'
        f"Content-Type: text/markdown\r\n\r\ntext\r\n--{boundary}--\r\n"
    )
    assert fields["content-length"] == str(len(body)) == str(upload.length)
    upload.tell(4)
    assert told == [(4, 4)]


def test_a_form_of_unknown_length_says_none() -> None:
    fields, upload = form(source_of(iter([b"a"])))
    assert "content-length" not in fields
    assert upload.length is None
    assert b'filename="document"\r\nContent-Type: application/octet-stream' in upload.before
    upload.tell(1)


@pytest.mark.parametrize("options", [{"title": "\ud800"}, {"filename": "\ud800"}, {"content_type": "a\r\nb"}])
def test_a_form_that_cannot_be_sent_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(sdk.ConfigurationError):
        form(source_of(b"a"), **options)


def test_bytes_of_any_kind_are_bytes() -> None:
    kinds: list[Any] = [b"a", bytearray(b"a"), memoryview(b"a")]
    assert {all_of(source_of(each)) for each in kinds} == {b"a"}
