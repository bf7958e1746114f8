"""What a journal holds and how it stands in a file: one checked frame for each entry.

A frame is a 64-bit word (the payload's length below, its CRC-32 above) and the payload, filled up to a multiple of
eight bytes. The word is written after the payload: without it there is no frame, whatever bytes lie there already.
"""

import struct
import sys
from dataclasses import dataclass
from math import inf
from typing import Any, Final, NamedTuple
from zlib import crc32

import orjson

from gatewayd.model import Ending, Hold, Outcome
from gatewayd.remembering import remember

WORD: Final = 8
MAGIC: Final = b"gwjrnl\x00\x03"
"""A segment's first bytes; the last one is the format's version.

In the first one each intent stood for itself, in the second one each entry had a frame of its own.
"""
READABLE: Final = (MAGIC, b"gwjrnl\x00\x02", b"gwjrnl\x00\x01")
NEXT: Final = (1 << 64) - 1
"""The word that says: go on in the next segment. No frame has a length like that."""

_LENGTH: Final = 0xFFFF_FFFF
_INTENT: Final = ord("[")
_ID: Final = len(b'["')
"""Where an intent's request id begins."""
_TERMS_KEPT: Final = 10_000
"""As many as there are users who call again within some seconds; some 5 MB."""
_OUTCOMES: Final = tuple(Outcome)
_TAGS: Final[dict[str, int]] = {outcome: tag for tag, outcome in enumerate(_OUTCOMES, 1)}
_RELEASED: Final = b"\x00"
_LIKE: Final = ord("l")  # no outcome's tag
_ENDING: Final = struct.Struct("<Bqqidqq")  # the outcome's tag, then the numbers of an Ending in their order
_CONCLUDED: Final = _ENDING.size + WORD
_LIKENESS: Final = struct.Struct("<BQd")  # its tag, where in the segment the other intent stands, its own moment
_LIKENESS_BYTES: Final = _LIKENESS.size
# A word's two halves, by this machine's byte order: to read it as one makes a number that is too long to be quick.
_HALVES: Final = struct.Struct("=II")
_LENGTH_FIRST: Final = sys.byteorder == "little"
# Under names that nobody assigns to again, which the compiler need not look up.
_dumps: Final[Any] = orjson.dumps
_pack_ending: Final[Any] = _ENDING.pack
_pack_likeness: Final[Any] = _LIKENESS.pack
_likeness_at: Final[Any] = _LIKENESS.unpack_from
_halves_at: Final[Any] = _HALVES.unpack_from
_crc32: Final[Any] = crc32


class Position(NamedTuple):
    """A place in a journal: the number of a segment, and a byte in it."""

    segment: int
    offset: int


@dataclass(slots=True, unsafe_hash=True, init=False)
class Intent:
    """A request is about to reach its agent. May be repeated while it is open; a repeat says nothing new."""

    hold: Final[Hold]

    def __init__(self, hold: Hold) -> None:
        self.hold = hold


@dataclass(slots=True, unsafe_hash=True, init=False)
class Conclusion:
    """How it ended; `ending` None: it reached no agent, and there is nothing to record."""

    hold_id: Final[str]
    ending: Final[Ending | None]

    def __init__(self, hold_id: str, ending: Ending | None) -> None:
        self.hold_id = hold_id
        self.ending = ending


Entry = Intent | Conclusion


class Likeness:
    """An Intent that differs in id and moment alone from the one whose frame begins at `place` of its segment."""

    __slots__ = ("id", "place", "started_at")

    def __init__(self, place: int, id: str, started_at: float) -> None:  # noqa: A002  # as a hold's is called
        self.place: Final = place
        self.id: Final = id
        self.started_at: Final = started_at

    def to(self, other: Hold) -> Hold:
        """The hold that is meant, if that is the other intent's."""
        return hold_like(other, self.id, self.started_at)


def hold_like(other: Hold, id: str, started_at: float) -> Hold:  # noqa: A002  # as a hold's is called
    """The hold that differs from the other one in these alone."""
    return Hold(
        id,
        other.user_id,
        other.plan,
        other.agent,
        other.route,
        other.unit,
        other.units,
        other.limit,
        other.cost,
        started_at,
    )


def intent(hold: Hold) -> bytes:
    """The payload of an Intent. Raises ValueError for what could not be read back as it was."""
    if not -inf < hold.started_at < inf:
        raise ValueError("a hold starts at a moment in time")
    try:
        return _dumps(  # type: ignore[no-any-return]
            (
                hold.id,
                hold.user_id,
                hold.plan,
                hold.agent,
                hold.route,
                hold.unit,
                hold.units,
                hold.limit,
                hold.cost,
                hold.started_at,
            )
        )
    except TypeError as error:  # half a surrogate pair, a number beyond 64 bits
        raise ValueError(f"a hold that cannot be written: {error}") from None


def intent_like(hold: Hold, place: int) -> bytes:
    """The payload of an Intent that says no more than a Likeness to the one at `place`, shorter by a third or more.

    Raises ValueError as `intent`.
    """
    moment = hold.started_at
    if not -inf < moment < inf:
        raise ValueError("a hold starts at a moment in time")
    try:
        likeness: bytes = _pack_likeness(_LIKE, place, moment)
        return likeness + hold.id.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a hold that cannot be written: {error}") from None


def likeness(payload: bytes) -> Likeness | None:
    """What an Intent says that is like another one; None for any other payload."""
    if payload[0] != _LIKE or len(payload) < _LIKENESS_BYTES:
        return None
    said = _likeness_at(payload)
    return Likeness(said[1], payload[_LIKENESS_BYTES:].decode(), said[2])


def conclusion(hold_id: str, ending: Ending | None) -> bytes:
    """The payload of a Conclusion. Raises ValueError for numbers beyond 64 bits."""
    if ending is None:
        return _RELEASED + hold_id.encode()
    try:
        facts: bytes = _pack_ending(
            _TAGS[ending.outcome],
            ending.quantity,
            ending.drawn,
            ending.status,
            ending.ended_at,
            ending.bytes_in,
            ending.bytes_out,
        )
    except struct.error as error:
        raise ValueError(f"an ending that cannot be written: {error}") from None
    return facts + hold_id.encode()


def name_of(hold: Hold) -> bytes:
    """Its id, as a frame has it. Raises ValueError for one that cannot be written."""
    try:
        return hold.id.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a hold that cannot be written: {error}") from None


def conclusion_space(name: bytes) -> int:
    """The bytes that the frame of any Conclusion of this hold fits in, alone or with others."""
    return (len(name) + _CONCLUDED + 7) & -8


def decode(payload: bytes) -> Entry:
    """The entry that was written, if it stands for itself. Raises ValueError if this version did not write it so."""
    if payload[0] == _INTENT:
        return Intent(_hold(payload))
    if payload[:1] == _RELEASED:
        return Conclusion(payload[1:].decode(), None)
    try:
        tag, quantity, drawn, status, ended_at, bytes_in, bytes_out = _ENDING.unpack_from(payload)
        outcome = _OUTCOMES[tag - 1]
    except (struct.error, IndexError) as error:
        raise ValueError(f"not an ending: {error}") from None
    ending = Ending(quantity, drawn, outcome, status, ended_at, bytes_in, bytes_out)
    return Conclusion(payload[_ENDING.size :].decode(), ending)


_terms: Final[dict[bytes, Hold]] = {}  # by what stands between id and moment; emptied when it is full


def _hold(payload: bytes) -> Hold:
    """Nearly all that an intent says it shares with others: such text is taken apart once, and there is one string of
    each of its words however many records wait for the ledger.
    """
    end, tail = payload.find(b'"', _ID), payload.rfind(b",")
    if end < _ID or not end < tail < len(payload) - 1:  # not a hold
        return _taken_apart(payload)
    name = payload[_ID:end]
    if not name.isalnum():  # it may be escaped
        return _taken_apart(payload)
    terms = payload[end:tail]
    if (known := _terms.get(terms)) is None:
        hold = _taken_apart(payload)
        remember(_terms, terms, hold, _TERMS_KEPT)
        return hold
    return Hold(
        name.decode(),
        known.user_id,
        known.plan,
        known.agent,
        known.route,
        known.unit,
        known.units,
        known.limit,
        known.cost,
        float(payload[tail + 1 : -1]),
    )


def _taken_apart(payload: bytes) -> Hold:
    # By name: who compiles this knows each of them then, and a call with a list of them goes by Python.
    id_, user_id, plan, agent, route, unit, units, limit, cost, started_at = orjson.loads(payload)
    try:
        return Hold(id_, user_id, plan, agent, route, unit, units, limit, cost, started_at)
    except TypeError as error:
        raise ValueError(f"not a hold: {error}") from None


def space(length: int) -> int:
    """The bytes that a frame with a payload of this length takes."""
    return (length + WORD + 7) & -8


def word(payload: bytes) -> int:
    """What makes the payload a frame."""
    return crc32(payload) << 32 | len(payload)


def word_at(data: bytes, at: int) -> int:
    """The word there, of this machine's byte order; 0 where the data end."""
    return int.from_bytes(data[at : at + WORD], sys.byteorder) if at + WORD <= len(data) else 0


def length_of(word: int) -> int:
    """The length of the payload that the word belongs to."""
    return word & _LENGTH


def frame_at(data: bytes, at: int) -> bytes | None:
    """The payload of the frame that begins there; None if there is no whole and sound one."""
    if at + WORD > len(data):
        return None
    halves = _halves_at(data, at)
    length: int = halves[0 if _LENGTH_FIRST else 1]
    if not length:
        return None
    payload = data[at + WORD : at + WORD + length]
    whole = length == len(payload) and _crc32(payload) == halves[1 if _LENGTH_FIRST else 0]
    return payload if whole else None
