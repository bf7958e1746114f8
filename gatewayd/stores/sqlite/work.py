"""What can be asked of the books, as values to queue, and how a batch of them is done in one transaction."""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gatewayd.model import Hold, UsageRecord
from gatewayd.stores.sqlite import schema
from gatewayd.stores.sqlite.books import Books

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Release:
    hold_id: str


@dataclass(frozen=True, slots=True)
class BalancesOf:
    user_id: str
    period: str


@dataclass(frozen=True, slots=True)
class Plans:
    """Answered with the file's version and, unless that is the one given, every account's plan."""

    unless: int | None = None


@dataclass(frozen=True, slots=True)
class Assign:
    user_id: str
    plan: str


# A Hold asks to be granted, a UsageRecord to be settled.
Work = Hold | UsageRecord | Release | BalancesOf | Plans | Assign

# Faults of the work itself, which spoil nothing else in the transaction.
OWN_FAULTS: Final = (ValueError, OverflowError, OSError)


def commit(connection: sqlite3.Connection, batch: Sequence[Work]) -> Sequence[object | Exception]:
    """Do all of it, in order; an answer for each, or its own fault. If it raises, nothing was done."""
    with schema.transaction(connection):
        books = Books(connection)
        answers = [_answer(books, work) for work in batch]
        books.finish()
    return answers


def _answer(books: Books, work: Work) -> object | Exception:
    try:
        return _do(books, work)
    except OWN_FAULTS as fault:
        if isinstance(work, UsageRecord):
            logger.error("usage record %s cannot be stored (%s)", work.id, fault)  # noqa: TRY400
        return fault


def _do(books: Books, work: Work) -> object:
    match work:
        case Hold():
            return books.hold(work)
        case UsageRecord():
            books.settle(work)
        case Release():
            books.release(work.hold_id)
        case BalancesOf():
            return books.balances(work.user_id, work.period)
        case Plans():
            version = books.outside_changes()
            return version, None if version == work.unless else books.plans()
        case Assign():
            books.assign(work.user_id, work.plan)
    return None
