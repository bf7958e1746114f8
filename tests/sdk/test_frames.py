"""WebSocket frames and sessions without a socket: the same for the same bytes, wherever they were cut."""

from itertools import pairwise

import pytest
from gatewayd_sdk import APIConnectionError, APIResponseError
from gatewayd_sdk._core.frames import Frame, FrameDecoder, Opcode, Violation, encoded, masked
from gatewayd_sdk._core.websocket import Closed, Handshake, Session
from hypothesis import given
from hypothesis import strategies as st

MASK = b"\x11\x22\x33\x44"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPTED = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of RFC 6455 section 1.3
FRAMES = st.one_of(
    st.builds(
        Frame,
        st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION]),
        st.one_of(st.binary(max_size=200), st.sampled_from([b"a" * 125, b"b" * 126, b"c" * 65535, b"d" * 65536])),
        st.booleans(),
    ),
    st.builds(Frame, st.sampled_from([Opcode.CLOSE, Opcode.PING, Opcode.PONG]), st.binary(max_size=125), st.just(True)),
)


def as_server(frame: Frame) -> bytes:
    """A frame without a mask."""
    size = len(frame.payload)
    first = bytes((frame.opcode | 0x80 * frame.final,))
    if size < 126:
        return first + bytes((size,)) + frame.payload
    return first + (b"\x7e" + size.to_bytes(2) if size < 65536 else b"\x7f" + size.to_bytes(8)) + frame.payload


def pieces(raw: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    return [raw[a:b] for a, b in pairwise(places)]


@given(frames=st.lists(FRAMES, max_size=6), cuts=st.lists(st.integers(0, 1500), max_size=12))
def test_frames_are_the_same_wherever_the_bytes_are_cut(frames: list[Frame], cuts: list[int]) -> None:
    decoder = FrameDecoder()
    raw = b"".join(map(as_server, frames))
    assert [frame for piece in pieces(raw, cuts) for frame in decoder.feed(piece)] == frames


def test_frames_are_the_same_byte_by_byte() -> None:
    frames = [Frame(Opcode.TEXT, b"a" * size) for size in (0, 125, 126, 65535, 65536)]
    decoder = FrameDecoder()
    raw = b"".join(map(as_server, frames))
    assert [frame for at in range(len(raw)) for frame in decoder.feed(raw[at : at + 1])] == frames


@given(frame=FRAMES, mask=st.binary(min_size=4, max_size=4))
def test_what_is_sent_is_masked_and_says_the_same(frame: Frame, mask: bytes) -> None:
    raw = encoded(frame, mask)
    bare = as_server(frame)
    head = len(bare) - len(frame.payload)
    assert raw[0] == bare[0]
    assert raw[1] == bare[1] | 0x80
    assert raw[2:head] == bare[2:head]
    assert raw[head : head + 4] == mask
    assert masked(raw[head + 4 :], mask) == frame.payload
    assert all(each ^ mask[at % 4] == raw[head + 4 + at] for at, each in enumerate(frame.payload[:9]))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"\xc1\x00", "reserved bits"),
        (b"\x83\x00", "unknown kind"),
        (b"\x81\x80", "masked"),
        (b"\x09\x00", "control frame is in pieces"),
        (b"\x89\x7e", "longer than 125"),
        (b"\x81\x7e\x00\x05", "as shortly"),
        (b"\x81\x7f" + (5).to_bytes(8), "as shortly"),
        (b"\x81\x7f" + (1 << 63).to_bytes(8), "as shortly"),
        (b"\x81\x7f" + (1 << 40).to_bytes(8), "longer than"),
        (b"\x88\x01\x00", "no code"),
        (b"\x88\x02\x03\xed", "no code"),
        (b"\x81\x01\xff", "no UTF-8"),
        (b"\x80\x01a", "out of order"),
        (b"\x01\x01a\x81\x01b", "out of order"),
    ],
    ids=[
        "reserved", "opcode", "masked", "pieces", "long ping", "long 16", "long 64", "negative", "too long",
        "short close", "code", "text", "nothing to go on with", "another begun",
    ],
)  # fmt: skip
def test_what_breaks_the_protocol_is_told(raw: bytes, told: str) -> None:
    with pytest.raises(Violation, match=told):
        list(Session().feed(raw))


def test_a_message_in_too_many_pieces_is_given_up() -> None:
    session = Session(most=4)
    assert list(session.feed(b"\x01\x03abc")) == []
    with pytest.raises(Violation, match="longer than 4") as caught:
        list(session.feed(b"\x80\x02de"))
    assert caught.value.code == 1009


@given(text=st.text(max_size=50), parts=st.integers(1, 5), cuts=st.lists(st.integers(0, 300), max_size=9))
def test_a_message_in_pieces_is_one_and_pings_come_between(text: str, parts: int, cuts: list[int]) -> None:
    data = text.encode()
    step = len(data) // parts + 1
    chunks = [data[start : start + step] for start in range(0, len(data), step)] or [b""]
    frames = []
    for number, chunk in enumerate(chunks):
        frames += [
            Frame(Opcode.CONTINUATION if number else Opcode.TEXT, chunk, final=number == len(chunks) - 1),
            Frame(Opcode.PING, b"%d" % number),
        ]
    session = Session(mask=lambda: MASK)
    got = [message for piece in pieces(b"".join(map(as_server, frames)), cuts) for message in session.feed(piece)]
    assert got == [text]
    assert bytes(session.due) == b"".join(
        encoded(Frame(Opcode.PONG, b"%d" % number), MASK) for number in range(len(chunks))
    )


def test_a_close_frame_is_answered_once_and_ends_the_session() -> None:
    session = Session(mask=lambda: MASK)
    close = as_server(Frame(Opcode.CLOSE, (1001).to_bytes(2) + b"bye"))
    assert list(session.feed(as_server(Frame(Opcode.PONG, b"")) + close + b"\x81\x01a")) == [Closed(1001, "bye")]
    assert bytes(session.due) == encoded(Frame(Opcode.CLOSE, (1001).to_bytes(2)), MASK)
    assert session.close() == b""
    assert Closed(1001, "").orderly
    assert not Closed(1006, "").orderly
    silent = Session(mask=lambda: MASK)
    assert list(silent.feed(as_server(Frame(Opcode.CLOSE, b"")))) == [Closed(1005, "")]
    assert bytes(silent.due) == encoded(Frame(Opcode.CLOSE, (1000).to_bytes(2)), MASK)


def test_nothing_is_said_after_a_close_frame() -> None:
    session = Session()
    assert session.close()
    assert list(session.feed(as_server(Frame(Opcode.PING, b"")))) == []
    assert not session.due
    assert list(session.feed(as_server(Frame(Opcode.BINARY, b"late")))) == [b"late"]


def upgraded(*more: bytes, accept: bytes = ACCEPTED) -> bytes:
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: WebSocket", b"Sec-WebSocket-Accept: " + accept, *more]
    return b"\r\n".join([*lines, b"", b""])


@given(cuts=st.lists(st.integers(0, 200), max_size=9))
def test_a_handshake_is_the_same_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    handshake = Handshake("a:1", "/ws", {"authorization": "Bearer t", "accept-encoding": "gzip"}, KEY)
    assert handshake.request.startswith(
        b"GET /ws HTTP/1.1\r\nhost: a:1\r\nauthorization: Bearer t\r\nupgrade: websocket\r\n"
    )
    raw = b"HTTP/1.1 103 Early Hints\r\n\r\n" + upgraded()
    answers = [handshake.feed(piece) for piece in pieces(raw, cuts) if piece]
    assert answers[:-1] == [None] * (len(answers) - 1)
    assert answers[-1] is not None
    assert answers[-1].status == 101


def test_what_follows_the_head_is_the_sessions() -> None:
    handshake = Handshake("a", "/ws", {}, KEY)
    assert handshake.feed(upgraded() + b"\x81\x01a") is not None
    assert handshake.rest == b"\x81\x01a"


def test_a_key_is_made_for_each_handshake() -> None:
    assert Handshake("a", "/", {}).request != Handshake("a", "/", {}).request


@pytest.mark.parametrize(
    "raw",
    [
        upgraded(accept=b"wrong"),
        b"HTTP/1.1 101 x\r\n\r\n",
        upgraded(b"Sec-WebSocket-Extensions: x"),
        upgraded(b"Sec-WebSocket-Protocol: x"),
    ],
    ids=["key", "no upgrade", "extension", "protocol"],
)
def test_an_answer_that_agrees_to_something_else_is_none(raw: bytes) -> None:
    with pytest.raises(APIResponseError, match="opening handshake"):
        Handshake("a", "/", {}, KEY).feed(raw)


@pytest.mark.parametrize(
    "raw",
    [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"x" * 70_000, b"y" * 66_000 + b"\r\n\r\n"],
    ids=["ssh", "status", "endless", "long"],
)
def test_what_is_no_http_is_told(raw: bytes) -> None:
    with pytest.raises(APIConnectionError, match="opening handshake"):
        Handshake("a", "/", {}).feed(raw)


def test_a_refusal_is_read_with_its_body() -> None:
    handshake = Handshake("a", "/", {})
    assert handshake.feed(b"HTTP/1.1 402 x\r\nContent-Length: 4\r\n\r\nab") is None
    answer = handshake.feed(b"cd")
    assert answer is not None
    assert (answer.status, answer.body) == (402, b"abcd")
    endless = Handshake("a", "/", {})
    assert endless.feed(b"HTTP/1.1 403 x\r\n\r\nab") is None
    closed = endless.feed(b"")
    assert closed is not None
    assert closed.body == b"ab"
    with pytest.raises(APIConnectionError, match="closed in the opening"):
        Handshake("a", "/", {}).feed(b"")
