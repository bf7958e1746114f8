"""What dead workers leave behind: their journals are read to the end, and what they had is free."""

from contextlib import ExitStack
from typing import Final

from gatewayd.books.posting import Posting
from gatewayd.books.reserve import Reserve
from gatewayd.books.staff import Staff
from gatewayd.clock import Clock

LOOK_SECONDS: Final = 0.1
"""How often journals of workers are looked for who died before they could say hello."""


class Estates:
    """Mutable: it remembers when it looked for strangers."""

    def __init__(self, staff: Staff, reserve: Reserve, posting: Posting, clock: Clock) -> None:
        self._staff = staff
        self._reserve = reserve
        self._posting = posting
        self._clock = clock
        self._looked_at = float("-inf")

    async def settle(self, *, thoroughly: bool, at_the_end: bool) -> None:
        """Take over what the dead leave. `thoroughly`: also from those whom nobody has heard of, if any, now.

        `at_the_end`: also those whose last words may not have arrived yet, nor will.
        """
        now = self._clock.monotonic()
        if thoroughly or now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._staff.look_for_strangers()
        for teller, lock in self._staff.dead(at_the_end=at_the_end):
            with ExitStack() as stack:
                if lock is not None:
                    stack.enter_context(lock)
                    await self._posting.read_rest_of(teller)
                for account, units in self._staff.bury(teller, lock, self._clock.utc()).items():
                    self._reserve.add(account, units, self._clock.monotonic())
                stack.pop_all()  # the lock is held on, until all of it is posted
        self._staff.forget_posted()
