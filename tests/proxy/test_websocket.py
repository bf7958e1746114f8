"""A bystander sees every Close frame and nothing that only looks like one; a switch is believed if it was asked for."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewayd.errors import UpstreamProtocol
from gatewayd.proxy.answer import AnswerHead, read_section
from gatewayd.proxy.websocket import CloseSpotter, is_switched

CLOSE = 0x8


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes
    masked: bool = False
    fin: bool = True
    wide: bool = False  # a length written wider than it needs, which RFC 6455 forbids and some do

    @property
    def header(self) -> bytes:
        size = len(self.payload)
        mask_bit = 0x80 if self.masked else 0
        if size > 0xFFFF or self.wide:
            length = bytes([mask_bit | 127]) + size.to_bytes(8, "big")
        elif size > 125:
            length = bytes([mask_bit | 126]) + size.to_bytes(2, "big")
        else:
            length = bytes([mask_bit | size])
        return bytes([(0x80 if self.fin else 0) | self.opcode]) + length

    def __bytes__(self) -> bytes:
        return self.header + (b"\x88\x00\x88\x00" if self.masked else b"") + self.payload


# payloads full of what would be a Close frame if it stood elsewhere
payloads = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([0, 1, 2, 124, 125, 126, 127, 300, 65535, 65536]).map(lambda size: (b"\x88\x00" * size)[:size]),
)
opcodes = st.sampled_from([0x0, 0x1, 0x2, 0x9, 0xA])
frames = st.builds(Frame, opcodes, payloads, st.booleans(), st.booleans(), st.booleans())
closes = st.builds(Frame, st.just(CLOSE), st.binary(max_size=125), st.booleans())


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(edge % (len(data) + 1) for edge in at), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.lists(frames, max_size=4), st.lists(st.integers(0, 1 << 20), max_size=8))
@example([Frame(0x1, b"\x88\x00")], [1, 2, 3])
def test_no_close_is_seen_where_none_is(sent: list[Frame], at: list[int]) -> None:
    spotter = CloseSpotter()
    for piece in cut(b"".join(map(bytes, sent)), at):
        spotter.feed(piece)
        assert not spotter.seen


@given(
    st.lists(frames, max_size=3), closes, st.lists(frames, max_size=2), st.lists(st.integers(0, 1 << 20), max_size=8)
)
def test_a_close_is_seen_however_it_is_cut_and_not_before_it_is_there(
    before: list[Frame], close: Frame, after: list[Frame], at: list[int]
) -> None:
    data = b"".join(map(bytes, [*before, close, *after]))
    there = sum(len(bytes(each)) for each in before) + len(close.header)
    spotter, fed = CloseSpotter(), 0
    for piece in cut(data, at):
        spotter.feed(piece)
        fed += len(piece)
        assert spotter.seen == (fed >= there)


@given(closes)
def test_a_close_is_seen_byte_by_byte(close: Frame) -> None:
    spotter = CloseSpotter()
    for number, byte in enumerate(bytes(close), 1):
        spotter.feed(bytes([byte]))
        assert spotter.seen == (number >= len(close.header))


def switched(*fields: tuple[bytes, bytes]) -> AnswerHead:
    return AnswerHead(101, b"Switching Protocols", read_section(fields), None, chunked=False, has_body=False)


def test_the_protocol_that_was_asked_for_is_switched_to() -> None:
    head = switched((b"connection", b"keep-alive, Upgrade"), (b"Upgrade", b"WebSocket"))
    assert is_switched(head, "websocket") == b"websocket"


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        pytest.param([(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")], None, id="nobody asked"),
        pytest.param([(b"Connection", b"Upgrade"), (b"Upgrade", b"h2c")], "websocket", id="another protocol"),
        pytest.param([(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket, h2c")], "websocket", id="two protocols"),
        pytest.param([(b"Connection", b"Upgrade")] + [(b"Upgrade", b"websocket")] * 2, "websocket", id="twice"),
        pytest.param([(b"Connection", b"Upgrade")], "websocket", id="no protocol"),
        pytest.param([(b"Upgrade", b"websocket")], "websocket", id="not said of the connection"),
        pytest.param([], "websocket", id="nothing"),
    ],
)
def test_any_other_switch_is_refused(fields: list[tuple[bytes, bytes]], asked: str | None) -> None:
    with pytest.raises(UpstreamProtocol):
        is_switched(switched(*fields), asked)
