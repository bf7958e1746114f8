"""What a row can hold; whatever cannot be stored is told before it spoils a transaction."""

from collections.abc import Iterable, Mapping
from typing import Final

from gatewayd.model import Account

# What JSON readers, Lua and every SQL database can hold exactly, with room to add such amounts up in 63 bits.
LARGEST: Final = 2**53 - 1
# In bytes: an entry of an index is at most 2,704, and the longest has a user, a unit, a month and a node.
LONGEST: Final = 2_048


def fault(texts: Iterable[str], amounts: Iterable[int] = ()) -> str:
    """Why these cannot be stored; empty if they can."""
    if any(not -LARGEST <= amount <= LARGEST for amount in amounts):
        return f"an amount of units is at most {LARGEST}"
    return next(filter(None, map(_text_fault, texts)), "")


def _text_fault(text: str) -> str:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return "a text is not Unicode"
    if b"\0" in data:
        return "PostgreSQL has no text with a NUL in it"
    return f"a text is at most {LONGEST} bytes" if len(data) > LONGEST else ""


def columns(accounts: Iterable[Account]) -> dict[str, list[str]]:
    """The accounts as arrays, in the one order in which every transaction of every daemon locks them."""
    users, units, periods = zip(*sorted(accounts), strict=True)
    return {"users": list(users), "kinds": list(units), "periods": list(periods)}


def by_account(amounts: Mapping[Account, int]) -> dict[str, list[str] | list[int]]:
    """`columns`, and their amounts."""
    return {**columns(amounts), "amounts": [amounts[account] for account in sorted(amounts)]}
