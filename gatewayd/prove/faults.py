"""Faults to give a daemon, so that each check is seen to fail: each replaces one thing of the gateway.

They are put into processes that `gatewayd prove --sabotage` starts, and nothing else ever loads them.
"""

# ruff: noqa: SLF001  # what is broken here is mostly somebody's own business
# mypy: disable-error-code="method-assign, assignment, attr-defined"

import itertools
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Final

from gatewayd.books.leases import Lease
from gatewayd.books.ledger import LeasedLedger
from gatewayd.books.posting import Posting
from gatewayd.books.staff import Staff
from gatewayd.books.teller import Teller
from gatewayd.books.vault import Vault
from gatewayd.errors import StoreUnavailable
from gatewayd.exchange import Exchange
from gatewayd.model import Account, Balance, Hold, Holding
from gatewayd.policies import rate_limit
from gatewayd.process.crew import Crew
from gatewayd.process.hired import Child
from gatewayd.process.worker import Worker
from gatewayd.proxy.call import Call
from gatewayd.proxy.relay import Relay
from gatewayd.stores.base import Batch, Recall


@dataclass(frozen=True, slots=True)
class Fault:
    """`install` breaks the gateway of this process; `check` has to fail then."""

    name: str
    check: str
    says: str
    install: Callable[[], None]


def _take_what_is_not_there() -> None:
    def take(lease: Lease, units: int, limit: int) -> bool:  # noqa: ARG001
        lease.in_use += units
        return True

    Lease.take = take


def _ask_nobody() -> None:
    async def ask_no_daemon(vault: Vault, account: Account) -> list[Recall]:  # noqa: ARG001
        return []

    def ask_no_worker(staff: Staff, account: Account, *, but: Teller | None = None) -> set[int]:  # noqa: ARG001
        return set()

    Vault.recall = ask_no_daemon
    Staff.recall = ask_no_worker


def _throw_journals_away() -> None:
    async def read_nothing(posting: Posting, teller: Teller) -> None:
        """Neither what was written last, nor what was under way."""

    Posting.read_rest_of = read_nothing
    Teller.bury = lambda teller, now: []  # noqa: ARG005


def _post_again() -> None:
    post = Vault.post

    async def post_twice(vault: Vault, batch: Batch, charged: Collection[Account] = (), *, whole: bool = False) -> None:
        again = [replace(each, id=f"{each.id}-") for each in batch.postings[:1]]
        await post(vault, replace(batch, postings=(*batch.postings, *again)), charged, whole=whole)

    Vault.post = post_twice


def _forget_what_was_refused() -> None:
    post = Vault.post

    async def post_once(vault: Vault, batch: Batch, charged: Collection[Account] = (), *, whole: bool = False) -> None:
        try:
            await post(vault, batch, charged, whole=whole)
        except StoreUnavailable:
            if not batch.postings:
                raise

    Vault.post = post_once


def _keep_leases() -> None:
    async def keep(posting: Posting) -> None:
        """The daemon stops, and its leases stay behind."""
        await posting._post({}, {}, whole=True)

    Posting.return_everything = keep


def _refuse_when_away() -> None:
    hold, hold_at_once = LeasedLedger.hold, LeasedLedger.hold_at_once

    def refused(wanted: Hold) -> Holding:
        return Holding(False, Balance(*wanted.account, wanted.limit, 0, wanted.limit))

    async def held_or_refused(ledger: LeasedLedger, wanted: Hold) -> Holding:
        try:
            return await hold(ledger, wanted)
        except StoreUnavailable:
            return refused(wanted)

    def held_at_once_or_refused(ledger: LeasedLedger, wanted: Hold, now: float) -> Holding | None:
        try:
            return hold_at_once(ledger, wanted, now)
        except StoreUnavailable:
            return refused(wanted)

    LeasedLedger.hold = held_or_refused
    LeasedLedger.hold_at_once = held_at_once_or_refused


def _count_two_of_three() -> None:
    take, turns = rate_limit._take, itertools.count()

    def forgetful(exchange: Exchange, windows: rate_limit._Windows, now: float) -> Awaitable[None] | None:
        return take(exchange, windows, now) if next(turns) % 3 else None

    rate_limit._take = forgetful


def _round_down() -> None:
    rate_limit._whole = lambda seconds: ceil(seconds) - 1


def _round_up_twice() -> None:
    rate_limit._whole = lambda seconds: ceil(seconds) + 1


def _complete_bodies() -> None:
    break_off = Relay.break_off

    def complete(relay: Relay) -> None:
        if relay._in_chunks:
            relay._write(b"0\r\n\r\n")
        break_off(relay)

    Relay.break_off = complete


def _stay_with_the_agent() -> None:
    Call.abort = lambda call: None  # noqa: ARG005


def _cut_at_reload() -> None:
    commit = Worker.commit

    async def hasty(worker: Worker, words: Any = None, files: Sequence[int] = ()) -> Mapping[str, Any]:
        worker._drain.cut()
        return await commit(worker, words, files)

    Worker.commit = hasty


def _cut_at_once() -> None:
    async def hasty(worker: Worker) -> None:
        worker._drain.begin()
        worker._drain.cut()

    Worker.drain = hasty


def _die_together() -> None:
    died = Crew._died

    def all_die(crew: Crew, child: Child) -> None:
        for each in crew.children:
            if each is not child and each.name.startswith("worker") and each.alive and child.wanted:
                os.kill(each.pid, signal.SIGKILL)
        died(crew, child)

    Crew._died = all_die


FAULTS: Final = (
    Fault("bottomless-lease", "overspend", "a worker's lease has whatever is asked of it", _take_what_is_not_there),
    Fault("hasty-refusal", "false-refusals", "402 before anybody was asked for idle units", _ask_nobody),
    Fault("lost-journal", "records", "what a dead worker wrote last is thrown away", _throw_journals_away),
    Fault("second-posting", "records", "a record of each batch is posted again under another id", _post_again),
    Fault("lying-outage", "outage", "402 instead of 503 while the ledger is away", _refuse_when_away),
    Fault("forgetful-outage", "outage", "what could not be posted at once is never posted", _forget_what_was_refused),
    Fault("forgetful-counter", "limits", "every third call is not counted", _count_two_of_three),
    Fault("short-wait", "retry-after", "Retry-After is a second too short", _round_down),
    Fault("long-wait", "retry-after", "Retry-After is a second too long", _round_up_twice),
    Fault("patched-body", "broken-body", "a body that broke off is ended as if it were whole", _complete_bodies),
    Fault("deaf-gateway", "departure", "the agent is not told that its caller left", _stay_with_the_agent),
    Fault("hasty-reload", "reload", "what is in flight is cut off at a reload", _cut_at_reload),
    Fault("hasty-stop", "drain", "a stop cuts off what is in flight", _cut_at_once),
    Fault("shared-fate", "worker-death", "a worker that dies takes the others along", _die_together),
    Fault("kept-lease", "drift", "a daemon that stops keeps what it has leased", _keep_leases),
)
BY_NAME: Final = {fault.name: fault for fault in FAULTS}
