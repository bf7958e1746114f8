"""Another daemon asks for idle units: they go back once all workers who have some were asked."""

from pathlib import Path

from gatewayd.books.messages import Messenger
from gatewayd.books.requests import Requests
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

    async def post(self, batch: Batch) -> None:
        self.batches.append(batch)


async def test_the_answer_waits_for_every_worker_and_for_one_whose_line_is_cut(tmp_path: Path) -> None:
    vault, reserve, journal = Asked(tmp_path), Reserve(), open_journal(tmp_path / "journal")
    staff = Staff(tmp_path / "journal")
    requests = Requests(vault, staff, reserve)
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
