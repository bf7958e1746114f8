"""A head is judged as strictly as a caller behind us might read it (what an agent can send is in the big table)."""

import pytest
from aiohttp.http import HttpVersion, HttpVersion10, HttpVersion11, RawResponseMessage
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from gatewayd.errors import UpstreamProtocol
from gatewayd.proxy.answer import judge, read_section, stated_quantity


def parsed(
    *fields: tuple[bytes, bytes], code: int = 200, reason: str = "OK", version: HttpVersion = HttpVersion11
) -> RawResponseMessage:
    headers: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
    return RawResponseMessage(version, code, reason, headers, fields, False, None, False, False)


@pytest.mark.parametrize(
    ("fields", "length", "chunked", "ends_with_connection"),
    [
        pytest.param([(b"Content-Length", b"12")], 12, False, False, id="sized"),
        pytest.param([(b"content-length", b"0")], 0, False, False, id="empty"),
        pytest.param([(b"Content-Length", b"9" * 18)], 10**18 - 1, False, False, id="18 digits"),
        pytest.param([(b"Transfer-Encoding", b"Chunked")], None, True, False, id="chunked"),
        pytest.param([], None, False, True, id="neither"),
    ],
)
def test_how_a_body_ends_is_read_from_the_head(
    fields: list[tuple[bytes, bytes]], length: int | None, chunked: bool, ends_with_connection: bool
) -> None:
    head = judge(parsed(*fields), bodiless=False)
    assert (head.length, head.chunked, head.ends_with_connection) == (length, chunked, ends_with_connection)
    assert head.has_body
    assert head.section.fields == []  # both are ours to say


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([(b"Content-Length", b"1"), (b"content-length", b"1")], id="two lengths"),
        pytest.param([(b"Content-Length", b"1" * 19)], id="19 digits"),
        pytest.param([(b"Content-Length", b"")], id="no digit"),
        pytest.param([(b"Content-Length", b" 1")], id="a space"),
        pytest.param([(b"Content-Length", "١".encode())], id="other digits"),
        pytest.param([(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")], id="both"),
        pytest.param([(b"Transfer-Encoding", b"identity")], id="another coding"),
        pytest.param([(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")], id="two codings"),
        pytest.param([(b"X", b"a" * 65_537)], id="more than 64 KiB"),
        *[
            pytest.param([(b"X", b"a%cb" % byte)], id=f"control character {byte:02x}")
            for byte in (0, 8, 10, 13, 31, 127)
        ],
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(fields: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(UpstreamProtocol):
        judge(parsed(*fields), bodiless=False)


@pytest.mark.parametrize("value", [b"a\tb", b"caf\xe9", b"\xff", b"~ "])
def test_what_a_field_may_have_passes(value: bytes) -> None:
    assert judge(parsed((b"X", value)), bodiless=False).section.fields == [(b"X", value)]


@pytest.mark.parametrize("version", [HttpVersion(0, 9), HttpVersion(1, 2), HttpVersion(2, 0)])
def test_another_version_is_refused(version: HttpVersion) -> None:
    with pytest.raises(UpstreamProtocol):
        judge(parsed(version=version), bodiless=False)


def test_chunked_is_unknown_to_http_1_0() -> None:
    with pytest.raises(UpstreamProtocol):
        judge(parsed((b"Transfer-Encoding", b"chunked"), version=HttpVersion10), bodiless=False)
    assert judge(parsed(version=HttpVersion10), bodiless=False).ends_with_connection


@pytest.mark.parametrize(
    ("status", "bodiless", "has_body", "is_interim"),
    [
        (100, False, False, True),
        (101, False, False, False),
        (103, False, False, True),
        (200, False, True, False),
        (200, True, False, False),
        (204, False, False, False),
        (304, False, False, False),
        (500, False, True, False),
        (999, False, True, False),
    ],
)
def test_the_status_says_whether_there_is_a_body(status: int, bodiless: bool, has_body: bool, is_interim: bool) -> None:
    head = judge(parsed(code=status), bodiless=bodiless)
    assert (head.has_body, head.is_interim) == (has_body, is_interim)
    assert not head.ends_with_connection or has_body


@pytest.mark.parametrize("status", [0, 1, 99])
def test_a_status_below_100_is_none(status: int) -> None:
    with pytest.raises(UpstreamProtocol):
        judge(parsed(code=status), bodiless=False)


def test_a_reason_keeps_its_bytes() -> None:
    reason = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert judge(parsed(reason=reason), bodiless=False).reason == b"caf\xe9"
    with pytest.raises(UpstreamProtocol):
        judge(parsed(reason="a\x01"), bodiless=False)


def test_a_head_says_what_was_parsed() -> None:
    head = judge(parsed(), bodiless=False)
    assert (head.status, head.reason, head.length, head.chunked, head.has_body) == (200, b"OK", None, False, True)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ([], set()),
        ([(b"Connection", b"close")], {b"close"}),
        ([(b"connection", b"Keep-Alive, X-A ,x-b")], {b"keep-alive", b"x-a", b"x-b"}),
        ([(b"Connection", b"a"), (b"CONNECTION", b"b")], {b"a", b"b"}),
    ],
)
def test_connection_names_are_gathered_from_all_its_fields(raw: list[tuple[bytes, bytes]], found: set[bytes]) -> None:
    assert read_section(raw).hops == found


@given(st.integers(0, 10**15 - 1))
def test_a_quantity_of_up_to_15_digits_is_taken(quantity: int) -> None:
    assert quantity_of((b"X-Usage-Quantity", b"%d" % quantity)) == (quantity, False)
    assert quantity_of((b"x-usage-quantity", b"%015d" % quantity)) == (quantity, False)


@given(st.binary(max_size=20).filter(lambda value: not (value.isdigit() and len(value) <= 15)))
def test_anything_else_is_ignored_and_said_to_be(value: bytes) -> None:
    assert quantity_of((b"X-Usage-Quantity", value)) == (None, True)


def test_no_quantity_is_no_fault_and_two_are() -> None:
    assert quantity_of((b"X-Usage", b"7")) == (None, False)
    assert quantity_of(*[(b"X-Usage-Quantity", b"7")] * 2) == (None, True)


def quantity_of(*fields: tuple[bytes, bytes]) -> tuple[int | None, bool]:
    return stated_quantity(read_section(fields))
