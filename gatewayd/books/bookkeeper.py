"""The one who keeps a daemon's books: leases units from the ledger, hands them to workers, posts their journals.

All that touches the ledger happens in one task, in rounds: post what journals say, return what is not needed, lease
what is wanted. So no two of its own steps can meet in the ledger, and after a step of which nobody knows whether it
was done, the next round first asks the ledger what it says.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from gatewayd.books.estates import Estates
from gatewayd.books.lending import Lending, Wish
from gatewayd.books.makeshift import Makeshift
from gatewayd.books.messages import Message, Messenger
from gatewayd.books.posting import Posting
from gatewayd.books.questions import Question, Questions
from gatewayd.books.requests import Requests
from gatewayd.books.reserve import Reserve
from gatewayd.books.staff import Staff
from gatewayd.books.teller import Teller
from gatewayd.books.vault import JOURNALS, Vault
from gatewayd.clock import Clock
from gatewayd.config.settings import Settings
from gatewayd.errors import StoreError, StoreUnavailable
from gatewayd.model import Account
from gatewayd.records import account_named
from gatewayd.stores.journal.frames import Position

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 0.2
POLL_SECONDS: Final = 0.02
"""How often other daemons' answers are looked for, while somebody waits for them."""
LAST_ROUNDS: Final = 2
"""So often it is tried to leave nothing behind: a connection may have died unseen."""
SHARED_TICK_SECONDS: Final = 0.1
"""How often other daemons' requests are looked for."""
# The socket is its maker's, who lets a successor listen on it; a server of Python 3.13 would unlink it at its end.
_KEEPS_PATH: Final[dict[str, Any]] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}


class Bookkeeper:
    """Mutable: it is the daemon's memory of who has which units. One for each daemon, whatever its workers do."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._vault = vault = Vault(settings.ledger, settings.server.state_dir, clock)
        self._staff = staff = Staff(settings.server.state_dir / JOURNALS)
        self._reserve = reserve = Reserve()
        self._requests = Requests(vault, staff, reserve, clock)
        self._lending = Lending(vault, staff, reserve, self._requests, clock)
        self._makeshift = Makeshift(staff, self._lending.want)
        self._posting = Posting(vault, staff, reserve, clock)
        self._estates = Estates(staff, reserve, self._posting, clock)
        self._questions = Questions(vault, staff, self._posting, clock)
        self._server: asyncio.Server | None = None
        self._worker: asyncio.Task[None] | None = None
        self._awake = asyncio.Event()
        self._up: bool | None = None
        self._new = True
        self._closing = False
        self._closed = False

    async def start(self, sock: socket.socket) -> None:
        """Serve workers on `sock`, a Unix socket that listens.

        Raises StoreError for a ledger that an operator must mend; one that is only away for now stops nothing.
        """
        self._staff.take_stock()
        with suppress(StoreUnavailable):
            await self._vault.open()
            await self._survive(self._take_over)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: Messenger(self._hear, self._lose), sock=sock, **_KEEPS_PATH
        )
        self._worker = asyncio.create_task(self._work(), name="bookkeeper")
        self._awake.set()

    async def close(self) -> None:
        """Post what there is, give the leases back, close the ledger; what cannot be posted stays in the journals."""
        self._closing = True
        self._awake.set()
        if self._worker is not None:
            await self._worker
        await self._leave()

    async def _leave(self) -> None:
        """Let go of workers and ledger; who has come and was not heard yet is sent away at his first word."""
        self._closed = True
        if self._server is not None:
            await _shut(self._server)
        self._staff.close()
        await self._vault.close()

    def status(self) -> dict[str, Any]:
        """`pending`: requests that are not in the ledger yet, those still running included; `drift` in units."""
        pending = len(self._staff.backlog) + self._staff.open_holds
        return {"up": bool(self._up), "pending": pending, "drift": self._posting.drift}

    def _hear(self, messenger: Messenger, message: Message) -> None:
        if self._closed:
            messenger.hang_up()
        elif message[0] == "hello":
            self._greet(messenger, self._staff.named(message[1]))
        elif (teller := self._staff.behind(messenger)) is None:
            messenger.hang_up()
        else:
            self._heard(teller, message)
        self._awake.set()

    def _heard(self, teller: Teller, message: Message) -> None:
        match message:
            case ["want", number, user, unit, period, limit, least, needed, most]:
                self._want(Wish(teller, number, account_named(user, unit, period), limit, least, needed, most))
            case ["back", user, unit, period, units]:
                self._given_back(teller, account_named(user, unit, period), units)
            case ["idle", leases]:
                for user, unit, period, units in leases:
                    self._given_back(teller, account_named(user, unit, period), units)
            case ["recalled", number, user, unit, period, units]:
                self._given_back(teller, account_named(user, unit, period), units)
                self._answered(teller, number)
            case ["has", segment, offset, leases]:
                self._lending.forget(teller)  # it asks again for all that it wants
                self._makeshift.forget(teller)
                teller.has([(Account(*account), units) for *account, units in leases], Position(segment, offset))
                self._vault.certain = False  # grants and returns that were on their way may be lost
            case ["grown"]:
                teller.grown = True
            case ["ask", number, "overdrawn", user, unit, period, limit]:
                self._lending.want(Wish(teller, number, account_named(user, unit, period), limit, question=True))
            case ["ask", number, *words]:
                self._questions.ask(Question(teller, number, words))

    def _greet(self, messenger: Messenger, teller: Teller) -> None:
        """From here on its journal is not read, so that what it says that it has can be told from what it used."""
        if teller.messenger is not None:
            self._left(teller)
        teller.greet(messenger)
        teller.say("what have you")
        teller.say("store", self._up is not False)

    def _lose(self, messenger: Messenger) -> None:
        if (teller := self._staff.behind(messenger)) is not None:
            self._left(teller)
        self._awake.set()

    def _left(self, teller: Teller) -> None:
        teller.messenger, teller.greeting = None, False
        self._lending.forget(teller)
        self._makeshift.forget(teller)
        for number in teller.recalls:
            self._lending.unanswered(number)
            self._requests.unanswered(number)
            self._makeshift.answered(number)
        teller.recalls.clear()

    def _want(self, wish: Wish) -> None:
        if self._up is not False or not self._makeshift.want(wish):
            self._lending.want(wish)

    def _given_back(self, teller: Teller, account: Account, units: int) -> None:
        if units:
            limit = teller.limits.get(account)
            teller.took_back(account, units)
            self._reserve.add(account, units, self._clock.monotonic())
            if self._up is False:  # what is in the reserve is not certain then
                self._makeshift.add(account, units, limit)

    def _answered(self, teller: Teller, number: int) -> None:
        teller.recalls.discard(number)
        self._lending.answered(number)
        self._requests.answered(number)
        self._makeshift.answered(number)

    async def _work(self) -> None:
        while not self._closing:
            await self._wait()
            await self._survive(self._round)
        for _ in range(LAST_ROUNDS):
            if await self._survive(self._last_round):
                break

    async def _wait(self) -> None:
        timeout = SHARED_TICK_SECONDS if self._vault.shared else TICK_SECONDS
        if self._lending.asks_other_daemons:
            timeout = POLL_SECONDS
        if not self._up:
            await asyncio.sleep(0 if self._up is None else RETRY_SECONDS)
        if self._staff.backlog:
            timeout = min(timeout, max(self._posting.due_in, 0.0))
        if not self._awake.is_set():
            late = asyncio.get_running_loop().call_later(timeout, self._awake.set)
            await self._awake.wait()
            late.cancel()
        self._awake.clear()

    async def _survive(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether it went well. A ledger that is away is waited for; what else goes wrong must not end the books."""
        try:
            await work()
            return True
        except StoreUnavailable:
            self._went_down()
        except StoreError as error:
            if self._up is not False:
                logger.error("a round of the books failed: %s", error)  # noqa: TRY400
            self._went_down()
        except Exception:
            if self._up is not False:
                logger.exception("a round of the books failed by a fault of gatewayd's own")
            self._went_down()
        return False

    async def _round(self) -> None:
        if self._up is False:
            await self._posting.read_everything()  # so that an outage shows in what is pending
        await self._vault.open()
        await self._meet_the_dead()
        if not self._vault.certain and not await self._reconcile():
            await self._questions.answer_all()
            return
        self._came_up()
        fresh = self._lending.unready
        if fresh and await self._posting.read_everything():
            for wish in fresh:
                wish.ready = True
        if urgent := self._lending.waits_for_the_ledger:
            await self._posting.post(self._lending.wanted)
        await self._lending.lend()
        if not urgent:
            await self._posting.post_if_due(self._lending.wanted)
        await self._questions.answer_all()
        if self._vault.shared:
            await self._requests.answer_all()
        if self._staff.behindhand or self._lending.waits_for_the_ledger:
            self._awake.set()

    async def _take_over(self) -> None:
        """Before anybody is served: the dead are buried, and what no worker has goes back to the ledger."""
        await self._meet_the_dead()
        if await self._reconcile():
            await self._posting.return_everything()

    async def _last_round(self) -> None:
        """The workers are gone, or go; what is posted now need not be read by a successor."""
        await self._vault.open()
        await self._meet_the_dead()
        if self._vault.certain or await self._reconcile():
            await self._posting.post_everything()
            await self._posting.return_everything()
        await self._questions.answer_all()

    async def _meet_the_dead(self) -> None:
        thoroughly = self._closing or not self._vault.certain
        await self._estates.settle(thoroughly=thoroughly, at_the_end=self._closing)

    async def _reconcile(self) -> bool:
        """What the ledger says that this daemon has, less what its workers have, is free; whether all have said.

        A new bookkeeper reads journals from their beginning. What its predecessor posted of that is off the leases
        already, and only the ledger can tell which that was: all of it is posted first.
        """
        await self._posting.post_first()
        if self._new:
            await self._posting.post_everything()
        else:
            await self._posting.read_everything()
        await self._posting.learn()
        leased = await self._vault.leases()
        if not self._staff.all_sure:
            return False
        taken = self._staff.outstanding
        taken.update(self._staff.backlog.drawn)
        self._reserve.replace(self._vault.free(leased, taken), self._clock.monotonic())
        self._makeshift.end()
        self._vault.certain, self._new = True, False
        return True

    def _went_down(self) -> None:
        self._vault.certain = False
        if self._up is not False:
            logger.error("the ledger is away: leases and units without a limit are served, nothing new is leased")
            self._staff.tell_all("store", False)
        self._up = False
        self._lending.give_up(self._makeshift.want)
        self._questions.give_up()

    def _came_up(self) -> None:
        if self._up is False:
            logger.warning("the ledger is there again")
        if not self._up:
            self._staff.tell_all("store", True)
        self._up = True


async def _shut(server: asyncio.Server) -> None:
    """Accept nobody any more. Whom asyncio accepts in the turn in which it closes a server, it leaves open."""
    loop = asyncio.get_running_loop()
    for sock in server.sockets:
        loop.remove_reader(sock.fileno())
    await asyncio.sleep(0)
    server.close()
