"""Random histories of requests, stops and restarts, each ledger against a plain dict."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gatewayd.model import Hold
from tests.clocks import ManualClock
from tests.stores.ledgers import PLACES, audit, hold, record

Key = tuple[str, str, str]
MONTH = 31 * 86_400


class LedgerMachine(RuleBasedStateMachine):
    """The model: limits, holds in flight and charges; every answer and every balance must follow from them."""

    kind: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.place = PLACES[self.kind](Path(self.directory.name))
        self.clock = ManualClock()
        self.ledger = self.place.open(self.clock)
        self.limits: dict[Key, int] = {}
        self.holds: dict[str, Hold] = {}
        self.spent = Counter[Key]()
        self.closed: list[Hold] = []
        self.made = 0

    def key(self, of: Hold) -> Key:
        return of.user_id, of.unit, of.period

    def held(self, key: Key) -> int:
        return sum(each.units for each in self.holds.values() if self.key(each) == key)

    @rule(
        user=st.sampled_from(["alice", "bob"]),
        units=st.integers(0, 5),
        cost=st.integers(0, 3),
        limit=st.sampled_from([0, 5, 10]),
        cancelled=st.booleans(),
    )
    def ask(self, user: str, units: int, cost: int, limit: int, cancelled: bool) -> None:
        self.made += 1
        asked = hold(f"r{self.made}", user=user, units=units, limit=limit, cost=cost, at=self.clock.utc())
        key = self.key(asked)
        fits = not limit or self.held(key) + units <= limit - self.spent[key]
        self.limits[key] = limit
        if cancelled:
            self.runner.run(self.cancel(asked))
            return
        answer = self.runner.run(self.ledger.hold(asked))
        assert answer.granted == fits
        if fits:
            self.holds[asked.id] = asked
        assert (answer.balance.limit, answer.balance.held) == (limit, self.held(key))

    async def cancel(self, asked: Hold) -> None:
        waiting = asyncio.create_task(self.ledger.hold(asked))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), quantity=st.integers(0, 8))
    def settle(self, data: st.DataObject, quantity: int) -> None:
        ended = self.holds.pop(data.draw(st.sampled_from(sorted(self.holds))))
        self.spent[self.key(ended)] += quantity
        self.closed.append(ended)
        self.runner.run(self.submit(ended, quantity))

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        freed = self.holds.pop(data.draw(st.sampled_from(sorted(self.holds))))
        self.runner.run(self.free(freed.id))

    @precondition(lambda self: self.closed)
    @rule(data=st.data(), quantity=st.integers(0, 8))
    def repeat(self, data: st.DataObject, quantity: int) -> None:
        ended = data.draw(st.sampled_from(self.closed))
        self.runner.run(self.submit(ended, quantity))
        self.runner.run(self.free(ended.id))

    @rule(quantity=st.integers(0, 8))
    def settle_without_hold(self, quantity: int) -> None:
        self.made += 1
        ended = hold(f"r{self.made}", at=self.clock.utc())
        self.limits.setdefault(self.key(ended), 0)
        self.spent[self.key(ended)] += quantity
        self.closed.append(ended)
        self.runner.run(self.submit(ended, quantity))

    @rule()
    def begin_another_month(self) -> None:
        self.clock.advance(MONTH)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.ledger.close())
        self.ledger = self.place.open(self.clock)
        for lost in self.holds.values():
            self.spent[self.key(lost)] += lost.cost
            self.closed.append(lost)
        self.holds.clear()

    async def submit(self, ended: Hold, quantity: int) -> None:
        await self.ledger.settle(record(ended, quantity))

    async def free(self, hold_id: str) -> None:
        await self.ledger.release(hold_id)

    @invariant()
    def balances_and_records_follow_from_the_history(self) -> None:
        for user, period in {(user, period) for user, _, period in self.limits}:
            found = self.runner.run(self.ledger.balances(user, period))
            for balance in found:
                key = (balance.user_id, balance.unit, balance.period)
                assert (balance.limit, balance.held, balance.spent) == (
                    self.limits[key],
                    self.held(key),
                    self.spent[key],
                )
        with self.place.read() as reader:
            assert +audit(reader) == +self.spent
            assert {row.id for row in reader.records()} == {ended.id for ended in self.closed}

    def teardown(self) -> None:
        self.runner.run(self.ledger.close())
        self.runner.close()
        self.directory.cleanup()


@pytest.mark.parametrize("kind", PLACES)
def test_every_history_leaves_the_balances_that_its_records_add_up_to(kind: str) -> None:
    machine = type("Machine", (LedgerMachine,), {"kind": kind})
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None))
