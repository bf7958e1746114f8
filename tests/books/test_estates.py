"""What dead workers leave: found at once where it matters, and else before long."""

from pathlib import Path

from gatewayd.books.estates import LOOK_SECONDS, Estates
from gatewayd.books.posting import Posting
from gatewayd.books.reserve import Reserve
from gatewayd.books.staff import Staff
from gatewayd.books.vault import Vault
from gatewayd.stores.journal.writer import open_journal
from tests.books.offices import settings_in
from tests.clocks import ManualClock
from tests.stores.ledgers import ALICE, hold


def opened(state: Path, clock: ManualClock) -> tuple[Estates, Staff, Reserve]:
    settings = settings_in(state)
    staff, reserve = Staff(state / "journal"), Reserve()
    posting = Posting(Vault(settings.ledger, state, clock), staff, reserve, clock)
    return Estates(staff, reserve, posting, clock), staff, reserve


async def test_what_a_worker_had_idle_is_free_once_it_is_dead_and_what_it_served_is_recorded(tmp_path: Path) -> None:
    clock = ManualClock()
    estates, staff, reserve = opened(tmp_path, clock)
    journal = open_journal(tmp_path / "journal")
    teller = staff.named(journal.name)
    teller.unsure = False
    teller.gave(ALICE, 5, 100)
    journal.intend(hold("r1", units=2))
    journal.close()
    await estates.settle(thoroughly=True, at_the_end=False)
    assert reserve.of(ALICE) == 3  # two were in use, and are what the call costs
    assert len(staff.backlog) == 1
    assert not list(staff)


async def test_one_whom_nobody_has_heard_of_is_looked_for_now_and_then_or_thoroughly(tmp_path: Path) -> None:
    clock = ManualClock()
    estates, staff, _ = opened(tmp_path, clock)
    await estates.settle(thoroughly=False, at_the_end=False)

    def die(request: str) -> None:
        journal = open_journal(tmp_path / "journal")
        journal.intend(hold(request))
        journal.close()

    die("r1")
    await estates.settle(thoroughly=False, at_the_end=False)
    assert staff.backlog.added == 0
    await estates.settle(thoroughly=True, at_the_end=False)
    assert staff.backlog.added == 1
    die("r2")
    clock.advance(LOOK_SECONDS)
    await estates.settle(thoroughly=False, at_the_end=False)
    assert staff.backlog.added == 2
