"""Random histories of leases, postings, repeats and restarts, each ledger against plain dicts."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gatewayd.model import Account, Posting, rfc3339
from gatewayd.stores.base import Batch, Grant, Want
from tests.clocks import ManualClock
from tests.stores.ledgers import PLACES, audit, drift, posting

NODE = "node-1"
ACCOUNTS = [Account(user, "api_calls", period) for user in ("alice", "bob") for period in ("2025-11", "2025-12")]

accounts = st.sampled_from(ACCOUNTS)
wants = st.builds(
    lambda account, limit, least, more: Want(account, limit, least, least + more),
    accounts,
    st.sampled_from([5, 10, 20]),
    st.integers(0, 4),
    st.integers(0, 6),
)
# Few names, so that many are repeats, in one batch and over batches.
postings = st.builds(
    lambda name, account, quantity, drawn: posting(name, account=account, quantity=quantity, drawn=drawn),
    st.integers(0, 60).map("r{}".format),
    accounts,
    st.integers(0, 8),
    st.integers(0, 8),
)
amounts = st.dictionaries(accounts, st.integers(0, 6), max_size=3)


class LedgerMachine(RuleBasedStateMachine):
    """The model: limits, leases, requests in flight and what was spent; each answer must follow from them."""

    kind: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.place = PLACES[self.kind](Path(self.directory.name))
        self.clock = ManualClock()
        self.store = self.runner.run(self.place.open(self.clock))
        self.limits: dict[Account, int] = {}
        self.leased = Counter[Account]()
        self.in_flight = Counter[Account]()
        self.spent = Counter[Account]()
        self.order: list[str] = []

    @rule(asked=st.lists(wants, min_size=1, max_size=4))
    def lease(self, asked: list[Want]) -> None:
        expected = [self.granted(want) for want in asked]
        assert list(self.runner.run(self.store.lease(NODE, asked))) == expected

    def granted(self, want: Want) -> Grant:
        account = want.account
        room = want.limit - self.spent[account] - self.leased[account]
        units = min(room, want.most) if room >= want.least else 0
        self.limits[account] = want.limit
        self.leased[account] += units
        return Grant(units, want.limit, self.spent[account], self.leased[account], 0)

    @rule(made=st.lists(postings, max_size=6), returned=amounts, in_flight=amounts)
    def post(self, made: list[Posting], returned: dict[Account, int], in_flight: dict[Account, int]) -> None:
        self.runner.run(self.store.post(NODE, Batch(made, returned, in_flight)))
        drawn = Counter(returned)
        for record, units in [(each, each.drawn) for each in made]:
            if record.id not in self.order:
                account = Account(record.user_id, record.unit, rfc3339(record.started_at)[:7])
                self.order.append(record.id)
                self.spent[account] += record.quantity
                self.limits.setdefault(account, 0)
                drawn[account] += units
        for account, units in drawn.items():
            self.leased[account] -= min(units, self.leased[account])
        for account, units in in_flight.items():
            self.in_flight[account] = units
            if units:
                self.limits.setdefault(account, 0)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(self.place.open(self.clock))

    @invariant()
    def everything_stored_follows_from_the_history(self) -> None:
        assert self.runner.run(self.store.leases(NODE)) == +self.leased
        assert self.runner.run(drift(self.store, ACCOUNTS)) == 0
        with self.place.read() as reader:
            audit(reader)
            assert [row.id for row in reader.records()] == self.order
            found = {Account(b.user_id, b.unit, b.period): (b.limit, b.held, b.spent) for b in reader.balances()}
            held = {account: leased for account, (leased, _) in reader.leased().items()}
        assert found == {
            account: (limit, self.in_flight[account], self.spent[account]) for account, limit in self.limits.items()
        }
        assert held == {account: self.leased[account] for account in self.limits}

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        self.directory.cleanup()


@pytest.mark.parametrize("kind", PLACES)
def test_every_history_leaves_the_balances_that_its_records_and_leases_add_up_to(kind: str) -> None:
    machine = type("Machine", (LedgerMachine,), {"kind": kind})
    examples = (
        30 if kind == "sqlite" else 6
    )  # each step opens the ledger anew to read it, which a server takes long for
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=20, deadline=None))
