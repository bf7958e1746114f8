"""A daemon that stood still for a second refuses nobody in error: what it was told before that may be true no more."""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from gatewayd.books.lending import MOST_REPEATS, RECALL_SECONDS, Lending
from gatewayd.books.requests import CALM_SECONDS
from gatewayd.errors import StoreUnavailable
from gatewayd.model import Account
from gatewayd.stores.base import Grant, Want
from tests.books.offices import Office, office
from tests.books.test_lending import dismiss, hired, spend
from tests.pauses import CalmClock
from tests.postgres import shared_server
from tests.stores.ledgers import hold


class Ahead(CalmClock):
    """The loop's time, and more of it has passed when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    def pass_by(self, seconds: float) -> None:
        self._ahead += seconds


class Daemons:
    """Two on one ledger. The second has spent eight units of twenty, and has workers who have nothing yet."""

    def __init__(self, asking: Office, asked: Office, clock: Ahead) -> None:
        self.asking = asking
        self.asked = asked
        self.clock = clock

    async def all_the_rest(self, pauses: int) -> bool:
        """Whether somebody of the first daemon gets it.

        That stands still so often after it was told what others have; then the other is calm no longer, and leases
        ahead for a worker who was not asked. Raises StoreUnavailable when nobody can say.
        """
        assert self.asking.bookkeeper is not None
        [asker], others = await hired(self.asking, 1), await hired(self.asked, 1 + pauses)
        assert await spend(others[0], "spent", 8, limit=20) == 8
        vault, at_ease, looks = self.asking.bookkeeper._vault, others[1:], list[int]()
        lease = vault.lease

        async def paused(wants: Sequence[Want]) -> Sequence[Grant]:
            looks.append(1)
            if len(looks) > 1 and at_ease:
                self.clock.pass_by(CALM_SECONDS)
                other = at_ease.pop()
                assert (await other.hold(hold("served", limit=20))).granted
                other.release("served")
                assert sum(each.idle for each in other._leases.all()) > 1, "or it had leased nothing ahead"
            return await lease(wants)

        vault.lease = paused  # type: ignore[method-assign]
        try:
            granted = (await asker.hold(hold("all the rest", units=12, limit=20))).granted
            asker.release("all the rest")
            return granted
        finally:
            await dismiss(asker, *others)


@pytest.mark.parametrize("pauses", [0, 1, MOST_REPEATS, MOST_REPEATS + 1])
async def test_whoever_asked_other_daemons_too_long_ago_asks_again_before_it_refuses(
    tmp_path: Path, pauses: int
) -> None:
    clock, url = Ahead(), f"postgresql:{shared_server().space()}"
    for name in ("asking", "asked"):
        (tmp_path / name).mkdir()
    async with office(tmp_path / "asking", clock, url) as asking, office(tmp_path / "asked", clock, url) as asked:
        daemons = Daemons(asking, asked, clock)
        if pauses <= MOST_REPEATS:
            assert await daemons.all_the_rest(pauses)
        else:
            with pytest.raises(StoreUnavailable):  # nobody can say any more, and it is told so, not that there is none
                await daemons.all_the_rest(pauses)
    assert sum(asked.audit().values()) == 8


class Watched:
    """Lending in all, and it says when it has looked."""

    def __init__(self, lending: Lending, looked: asyncio.Event) -> None:
        self._lending = lending
        self._looked = looked

    def __getattr__(self, name: str) -> object:
        return getattr(self._lending, name)

    async def lend(self) -> None:
        await self._lending.lend()
        self._looked.set()


async def test_whose_answer_comes_just_after_all_stood_still_for_longer_than_it_is_waited_for_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Ahead()
    async with office(tmp_path, clock) as books:
        assert books.bookkeeper is not None
        having, wanting = await hired(books, 2)
        assert await spend(having, "spent", 8, limit=20) == 8
        bookkeeper, say = books.bookkeeper, having._link.say
        posting, answering = bookkeeper._posting, list[asyncio.Task[None]]()
        post = posting.post_if_due

        async def answer(*words: object) -> None:
            looked = asyncio.Event()

            async def watched(wanted: Collection[Account]) -> None:
                """What comes next in a round, after it was seen who is late."""
                looked.set()
                await post(wanted)

            with monkeypatch.context() as patch:
                patch.setattr(posting, "post_if_due", watched)
                clock.pass_by(RECALL_SECONDS)
                bookkeeper._awake.set()
                await looked.wait()
            say(*words)

        def slowly(*words: object) -> None:
            if words[0] == "recalled":
                answering.append(asyncio.create_task(answer(*words)))
            else:
                say(*words)

        monkeypatch.setattr(having._link, "say", slowly)
        assert (await wanting.hold(hold("all the rest", units=12, limit=20))).granted
        assert answering, "or nobody was asked"
        wanting.release("all the rest")
        await dismiss(having, wanting)
    assert sum(books.audit().values()) == 8
