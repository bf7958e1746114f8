"""What nearly every entry of a journal says, in so few words that many of them stand in one frame.

A brief is an intent that differs from an earlier one of its segment in id and moment alone (`frames.Likeness`), or the
conclusion of a request that ended in ordinary numbers. All are of one width, so a frame of them is told by its first
byte and its length: its payload is nothing but briefs, in the order in which they were written.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

from gatewayd.model import Ending, Outcome

NAME_BYTES: Final = 32
"""A brief's id has so many bytes, which is what a request id has."""
INTENT: Final = 0x80
"""A brief's first byte: this, or this and the outcome's tag. No other payload begins with a byte of 128 or more."""

_DELIVERED: Final = Outcome.DELIVERED
_BRIEF: Final = struct.Struct(f"<IIIId{NAME_BYTES}s")
"""What it is, three numbers, its moment, its id.

Of an intent the first number is the place of the other one; of a conclusion they are the quantity and the bytes in and
out, and what it is has the status and whether the lease paid, beside the outcome.
"""
_BRIEF_INTENT: Final = struct.Struct(f"<II8xd{NAME_BYTES}s")
"""The same of an intent, whose other numbers are 0."""
BRIEF_BYTES: Final = _BRIEF.size
_TAG: Final = 0x7F
_STATUS: Final = 8  # bits below it
_PAID: Final = 24
_MOST_STATUS: Final = (1 << _PAID - _STATUS) - 1
MOST: Final = (1 << 32) - 1
"""The largest of its numbers."""
_OUTCOMES: Final = tuple(Outcome)
_KINDS: Final[dict[str, int]] = {outcome: INTENT | tag for tag, outcome in enumerate(_OUTCOMES, 1)}
_KIND_DELIVERED: Final = _KINDS[_DELIVERED]
# Under names that nobody assigns to again, which the compiler need not look up.
note: Final[Any] = _BRIEF.pack_into
"""Write one into a buffer at a place: what it is, its numbers, its moment, its id."""
note_intent: Final[Any] = _BRIEF_INTENT.pack_into
"""The same of an intent, which has one number."""
_each: Final[Any] = _BRIEF.iter_unpack


def kind_of(quantity: int, drawn: int, outcome: Outcome, status: int, bytes_in: int, bytes_out: int) -> int:
    """What a brief is that concludes so; 0 if none can say it: its numbers are too large, or the lease paid a part."""
    if drawn and drawn != quantity:
        return 0
    if not (0 <= quantity <= MOST and 0 <= bytes_in <= MOST and 0 <= bytes_out <= MOST):
        return 0
    if not 0 <= status <= _MOST_STATUS:
        return 0
    kind = _KIND_DELIVERED if outcome is _DELIVERED else _KINDS[outcome]  # nearly all are, and a look costs 130
    kind |= status << _STATUS
    return kind | 1 << _PAID if drawn else kind


def briefs(payload: bytes) -> Iterator[tuple[int, int, int, int, float, bytes]]:
    """Those of a frame, as `note` took them. Raises ValueError if it has anything else."""
    if len(payload) % BRIEF_BYTES:
        raise ValueError("a frame of briefs has nothing but these")
    return _each(payload)  # type: ignore[no-any-return]


def is_intent(kind: int) -> bool:
    """Whether a brief of this kind is one; else it concludes."""
    return not kind & _TAG


def ending_of(kind: int, quantity: int, bytes_in: int, bytes_out: int, moment: float) -> Ending:
    """How a brief concludes. Raises ValueError for an outcome that this version does not know."""
    tag = kind & _TAG
    if tag > len(_OUTCOMES):
        raise ValueError(f"not an ending: outcome {tag}")
    drawn = quantity if kind >> _PAID else 0
    status = kind >> _STATUS & _MOST_STATUS
    return Ending(quantity, drawn, _OUTCOMES[tag - 1], status, moment, bytes_in, bytes_out)
