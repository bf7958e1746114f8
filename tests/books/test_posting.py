"""What goes into the ledger in the end: every record once, no idle units, and what is in flight."""

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from gatewayd.model import Account
from gatewayd.stores.base import Batch
from gatewayd.stores.open import open_reader
from tests.books.offices import Office, office
from tests.daemons import PATIENCE
from tests.stores.ledgers import hold, record


def held(books: Office) -> int:
    with open_reader(books.settings.ledger.url.reveal()) as reader:
        return sum(units for units, _ in reader.leased().values())


async def test_more_records_than_fit_one_transaction_are_all_posted(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        for number in range(2_500):
            wanted = hold(f"r{number}", limit=0)
            await worker.hold(wanted)
            worker.settle(record(wanted))
        await worker.close()
        assert books.bookkeeper is not None
        assert books.bookkeeper.status() == {"up": True, "pending": 0, "drift": 0}
    assert sum(books.audit().values()) == 2_500


async def test_records_gather_for_a_moment_whoever_asks_for_units_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path) as books:
        assert books.bookkeeper is not None
        worker = await books.worker()
        batches: list[int] = []
        vault = books.bookkeeper._vault
        post = vault.post

        async def counted(batch: Batch, charged: Collection[Account], *, whole: bool) -> None:
            batches.append(len(batch.postings))
            await post(batch, charged, whole=whole)

        monkeypatch.setattr("gatewayd.books.posting.POST_SECONDS", moment := 0.2)
        monkeypatch.setattr(vault, "post", counted)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(30):
            wanted = hold(f"r{number}", user=f"user {number}")
            await worker.hold(wanted)
            worker.settle(record(wanted))
        async with asyncio.timeout(PATIENCE):
            while sum(batches) < 30:  # by themselves: nobody asks for anything any more
                await asyncio.sleep(0.01)
        assert len([batch for batch in batches if batch]) <= 2 + (loop.time() - began) / moment
        await worker.close()
    assert sum(books.audit().values()) == 30


async def test_a_bookkeepers_successor_posts_what_it_finds_once(tmp_path: Path) -> None:
    async with office(tmp_path) as books:
        worker = await books.worker()
        for number in range(3):
            await worker.hold(hold(f"r{number}"))
        worker.settle(record(hold("r0")))
        await worker.balances("alice", "2025-11")
        await books.kill()
        worker.settle(record(hold("r1")))
        await books.open()
        worker.settle(record(hold("r2")))
        await worker.close()
    assert sum(books.audit().values()) == 3
    assert held(books) == 0
