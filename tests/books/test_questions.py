"""What a worker asks is answered with all that any worker did until then."""

from pathlib import Path

import pytest

from gatewayd.errors import StoreUnavailable
from gatewayd.model import Revocation
from gatewayd.stores.open import open_clerk
from tests.books.offices import office
from tests.stores.ledgers import hold, record


async def test_a_balance_counts_what_another_worker_did_just_now(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        doer, asker = await books.worker(), await books.worker()
        await doer.hold(hold("r1"))
        doer.settle(record(hold("r1")))
        await doer.hold(hold("r2", unit="tokens", limit=0, units=5))
        balances = {balance.unit: balance for balance in await asker.balances("alice", "2025-11")}
        assert (balances["api_calls"].spent, balances["tokens"].held) == (1, 5)
        doer.release("r2")
        await doer.close()
        await asker.close()


async def test_the_directory_is_told_once_and_again_when_it_changed(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        with open_clerk(books.settings.ledger.url.reveal()) as clerk:
            clerk.assign("alice", "pro")
            clerk.revoke(Revocation("user", "bob", 7.0))
        found = await worker.directory()
        assert found is not None
        assert found.plans == {"alice": "pro"}
        assert found.revocations == (Revocation("user", "bob", 7.0),)
        assert await worker.directory(found.version) is None
        await worker.close()


async def test_a_question_to_a_bookkeeper_who_is_gone_is_an_error(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        await books.kill()
        with pytest.raises(StoreUnavailable):
            await worker.balances("alice", "2025-11")
        await books.open()
        await worker.close()
