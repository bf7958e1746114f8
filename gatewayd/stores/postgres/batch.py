"""What a batch comes to, worked out between reading the rows it touches and writing them; asks no database."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gatewayd.model import Account, Posting, rfc3339
from gatewayd.stores import chain
from gatewayd.stores.base import Batch
from gatewayd.stores.chain import RecordRow
from gatewayd.stores.postgres.storable import fault

logger = logging.getLogger(__name__)

MOST_SPENT: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Standing:
    """An account before the batch, its rows locked: what is spent, and the node's lease; None if it has no row."""

    spent: int
    units: int | None
    in_flight: int


@dataclass(slots=True)
class Change:
    """What the batch does to an account; mutable: it grows with every record."""

    spent: int = 0
    used: int = 0
    in_flight: int | None = None
    answered: int = 0


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The node's lease after the batch; `taken` is what left it, and so leaves the balance's `held`."""

    account: Account
    taken: int
    units: int
    in_flight: int
    answered: int

    @property
    def gone(self) -> bool:
        return not self.units and not self.in_flight


def storable(batch: Batch) -> Batch:
    """The batch without what no row can hold, each of which is logged, and without a record's second posting."""
    postings: dict[str, Posting] = {}
    for posting in batch.postings:
        if _is_storable(posting):
            postings.setdefault(posting.id, posting)
    return Batch(list(postings.values()), _amounts(batch.returned), _amounts(batch.in_flight), _amounts(batch.answered))


def chained(
    head: str, postings: Iterable[Posting], standing: Mapping[Account, Standing]
) -> tuple[Sequence[RecordRow], dict[Account, Change]]:
    """The records as the rows that follow `head`, and what they come to, by account."""
    rows: list[RecordRow] = []
    changes: dict[Account, Change] = {}
    for posting in postings:
        row = chain.sealed(head, posting)
        account = Account(row.user_id, row.unit, row.period)
        change = changes.setdefault(account, Change())
        if standing[account].spent + change.spent + row.quantity > MOST_SPENT:
            _pass_over(row.id, f"the account's sum would be above {MOST_SPENT}")
            continue
        change.spent += row.quantity
        change.used += max(0, posting.drawn)
        rows.append(row)
        head = row.chain
    return rows, changes


def leases_after(
    batch: Batch, changes: dict[Account, Change], standing: Mapping[Account, Standing]
) -> Sequence[LeaseRow]:
    """The node's leases that the batch changes; nothing is taken that a lease does not have."""
    for account, units in batch.returned.items():
        changes.setdefault(account, Change()).used += units
    for account, units in batch.in_flight.items():
        changes.setdefault(account, Change()).in_flight = units
    for account, number in batch.answered.items():
        changes.setdefault(account, Change()).answered = number
    return [row for account in sorted(changes) if (row := _after(account, changes[account], standing.get(account)))]


def account_of(posting: Posting) -> Account:
    """What the record is charged to: the period it began in."""
    return Account(posting.user_id, posting.unit, chain.period(rfc3339(posting.started_at)))


def _after(account: Account, change: Change, before: Standing | None) -> LeaseRow | None:
    units = (before and before.units) or 0
    in_flight = before.in_flight if before else 0
    now = in_flight if change.in_flight is None else change.in_flight
    taken = min(units, change.used)
    if not taken and now == in_flight and not change.answered:
        return None
    return LeaseRow(account, taken, units - taken, now, change.answered)


def _amounts(amounts: Mapping[Account, int]) -> dict[Account, int]:
    kept = {}
    for account, units in amounts.items():
        if reason := fault(account, (units,)) or ("it is below 0" if units < 0 else ""):
            logger.error("units of %a cannot be stored (%s)", account, reason)
        else:
            kept[account] = units
    return kept


def _is_storable(posting: Posting) -> bool:
    texts = (posting.id, posting.user_id, posting.plan, posting.agent, posting.route, posting.unit)
    amounts = (posting.quantity, posting.drawn, posting.status, posting.bytes_in, posting.bytes_out)
    reason = fault(texts, amounts)
    if not reason:
        try:
            account_of(posting)
            rfc3339(posting.ended_at)
        except (ValueError, OverflowError, OSError) as error:
            reason = str(error)
    if reason:
        _pass_over(posting.id, reason)
    return not reason


def _pass_over(record_id: str, reason: str) -> None:
    logger.error("usage record %a cannot be stored (%s)", record_id, reason)
