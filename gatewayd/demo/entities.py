"""The facts that a letter names: dates, amounts of money, order numbers, addresses."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

_MOST: Final = 20
_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH: Final = "(" + "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS) + r"|sept)\b\.?"
_CURRENCIES: Final = {"$": "USD", "€": "EUR", "£": "GBP"}
_NUMBER: Final = r"\d{1,9}(?:[.,]\d{3}){0,3}(?:[.,]\d{2})?(?!\d)"

# Every repeat is bounded, so that no text makes the search slow.
_ISO_DATE: Final = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)")
_DAY_FIRST: Final = re.compile(rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th)?\s{{1,3}}{_MONTH}\s{{1,3}}(\d{{4}})(?!\d)", re.I)
_MONTH_FIRST: Final = re.compile(rf"\b{_MONTH}\s{{1,3}}(\d{{1,2}})(?:st|nd|rd|th)?,?\s{{1,3}}(\d{{4}})(?!\d)", re.I)
_AMOUNT: Final = re.compile(
    rf"(?P<before>[$€£]|\b(?:USD|EUR|GBP))\s?(?P<first>{_NUMBER})|"
    rf"(?<![\w.,])(?P<second>{_NUMBER})\s?(?P<after>[€£$]|(?:USD|EUR|GBP)\b)"
)
_ORDER: Final = re.compile(
    r"\b(?:order|invoice|ticket|case|reference)\s{0,3}(?:no\.?|number|id)?\s{0,3}[:#]?\s{0,3}([A-Z]{0,5}-?\d{3,12})\b"
    r"|(?<![\w#&])#([A-Z]{0,5}-?\d{3,12})\b",
    re.I,
)
_EMAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")


@dataclass(frozen=True, slots=True)
class Amount:
    """Money in the currency's smallest unit (cents, pence), and as it was written."""

    text: str
    currency: str
    minor_units: int


@dataclass(frozen=True, slots=True)
class Entities:
    """What was found, in order, without repeats, at most 20 of a kind. `dates` are ISO 8601."""

    dates: tuple[str, ...]
    amounts: tuple[Amount, ...]
    order_numbers: tuple[str, ...]
    emails: tuple[str, ...]


def extract(text: str) -> Entities:
    orders = (match[1] or match[2] for match in _ORDER.finditer(text))
    return Entities(
        dates=_dates(text),
        amounts=_amounts(text),
        order_numbers=tuple(dict.fromkeys(order.upper() for order in orders))[:_MOST],
        emails=tuple(dict.fromkeys(match[0].rstrip(".").lower() for match in _EMAIL.finditer(text)))[:_MOST],
    )


def _dates(text: str) -> tuple[str, ...]:
    found = [(match.start(), _iso(match[1], match[2], match[3])) for match in _ISO_DATE.finditer(text)]
    found += [(match.start(), _iso(match[3], _month(match[2]), match[1])) for match in _DAY_FIRST.finditer(text)]
    found += [(match.start(), _iso(match[3], _month(match[1]), match[2])) for match in _MONTH_FIRST.finditer(text)]
    return tuple(dict.fromkeys(day for _, day in sorted(found) if day))[:_MOST]


def _month(name: str) -> str:
    return str(next(n for n, month in enumerate(_MONTHS, 1) if month.startswith(name[:3].lower())))


def _iso(year: str, month: str, day: str) -> str:
    """The date, or nothing when the calendar has no such day."""
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return ""


def _amounts(text: str) -> tuple[Amount, ...]:
    found = (
        Amount(
            text=match[0],
            currency=_CURRENCIES.get(sign := match["before"] or match["after"], sign),
            minor_units=_minor_units(match["first"] or match["second"]),
        )
        for match in _AMOUNT.finditer(text)
    )
    return tuple(dict.fromkeys(found))[:_MOST]


def _minor_units(number: str) -> int:
    """Cents of `1,234.50` and `1.234,50` alike: a last group of two digits is the fraction."""
    digits = re.sub(r"\D", "", number)
    return int(digits) * (1 if number[-3:-2] in (".", ",") else 100)
