"""Another daemon asks for idle units: they go back once all workers who have some were asked."""

from collections.abc import Collection
from pathlib import Path

from gatewayd.books.messages import Messenger
from gatewayd.books.requests import CALM_SECONDS, Requests
from gatewayd.books.reserve import Reserve
from gatewayd.books.staff import Staff
from gatewayd.books.vault import Vault
from gatewayd.model import Account
from gatewayd.stores.base import Batch
from gatewayd.stores.journal.writer import open_journal
from tests.books.offices import settings_in
from tests.clocks import ManualClock
from tests.stores.ledgers import ALICE


class Asked(Vault):
    """A ledger in which another daemon asks for Alice's units until it has its answer."""

    def __init__(self, state: Path) -> None:
        super().__init__(settings_in(state).ledger, state, ManualClock())
        self.batches: list[Batch] = []

    async def recalled(self) -> dict[Account, int]:
        return {} if self.batches else {ALICE: 7}

    async def post(self, batch: Batch, charged: Collection[Account] = (), *, whole: bool = False) -> None:
        self.batches.append(batch)


async def test_the_answer_waits_for_every_worker_and_for_one_whose_line_is_cut(tmp_path: Path) -> None:
    vault, reserve, journal = Asked(tmp_path), Reserve(), open_journal(tmp_path / "journal")
    staff = Staff(tmp_path / "journal")
    requests = Requests(vault, staff, reserve, ManualClock())
    teller = staff.named(journal.name)
    teller.greet(Messenger(lambda _one, _two: None, lambda _: None))
    teller.has([(ALICE, 5)], journal.position)
    reserve.add(ALICE, 2, 0.0)

    await requests.answer_all()
    (number,) = teller.recalls
    messenger, teller.messenger = teller.messenger, None
    requests.unanswered(number)
    await requests.answer_all()
    assert not vault.batches

    teller.messenger = messenger
    await requests.answer_all()
    requests.answered(max(teller.recalls))
    await requests.answer_all()
    assert vault.batches == [Batch(returned={ALICE: 2}, answered={ALICE: 7})]
    assert reserve.of(ALICE) == 0


async def test_while_units_are_gathered_for_another_daemon_none_are_lent_but_not_for_ever(tmp_path: Path) -> None:
    clock = ManualClock()
    vault, journal, staff = Asked(tmp_path), open_journal(tmp_path / "journal"), Staff(tmp_path / "journal")
    requests = Requests(vault, staff, Reserve(), clock)
    teller = staff.named(journal.name)
    teller.greet(Messenger(lambda _one, _two: None, lambda _: None))
    teller.has([(ALICE, 5)], journal.position)
    assert not requests.pending(ALICE)
    await requests.answer_all()
    assert requests.pending(ALICE)
    clock.advance(1.0)  # that worker hangs, and others want to be served
    assert not requests.pending(ALICE)


async def test_for_a_second_after_another_daemon_asked_nothing_is_lent_ahead(tmp_path: Path) -> None:
    clock = ManualClock()
    requests = Requests(Asked(tmp_path), Staff(tmp_path / "journal"), Reserve(), clock)
    assert not requests.lately(ALICE)
    await requests.answer_all()
    assert (requests.pending(ALICE), requests.lately(ALICE)) == (False, True)
    clock.advance(1.0)
    assert not requests.lately(ALICE)


class Slow(Asked):
    """Its answers take longer than the calm lasts."""

    def __init__(self, state: Path, clock: ManualClock) -> None:
        super().__init__(state)
        self._passing = clock

    async def recalled(self) -> dict[Account, int]:
        self._passing.advance(CALM_SECONDS)
        return await super().recalled()


async def test_that_second_begins_no_earlier_than_the_other_asked_however_slow_the_ledger_is(tmp_path: Path) -> None:
    clock = ManualClock()
    requests = Requests(Slow(tmp_path, clock), Staff(tmp_path / "journal"), Reserve(), clock)
    await requests.answer_all()
    assert requests.lately(ALICE)
    clock.advance(CALM_SECONDS)
    assert not requests.lately(ALICE)
