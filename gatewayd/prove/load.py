"""Callers who call all the time, for as long as something is done to the gateway."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from gatewayd.prove.caller import Answer, Caller, Listener
from gatewayd.prove.configuration import HIGHEST_COST, Price
from gatewayd.prove.stage import User

BREATH_SECONDS: Final = 0.03
"""A caller whose call failed waits so long with the next one."""


@dataclass(frozen=True, slots=True)
class Call:
    """One that was made: of whom, to which daemon, for what, and what came of it."""

    user: User
    listener: Listener
    target: str
    answer: Answer


Choice = Callable[[], tuple[User, str]]
"""Whose call it is, and its target."""


class Load:
    """Mutable: calls gather."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.over = False

    async def go_on(self, caller: Caller, choose: Choice) -> None:
        """Call until it is over."""
        try:
            while not self.over:
                user, target = choose()
                answer = await caller.call(target, user.token)
                self.calls.append(Call(user, caller.listener, target, answer.brief))
                if answer.status != 200:
                    await asyncio.sleep(BREATH_SECONDS)
        finally:
            caller.leave()


@asynccontextmanager
async def load(callers: Sequence[tuple[Caller, Choice]]) -> AsyncIterator[Load]:
    """All of them call until the end of the `with`; then every call has ended."""
    running = Load()
    tasks = [asyncio.create_task(running.go_on(caller, choose)) for caller, choose in callers]
    try:
        yield running
        running.over = True
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def any_call(chance: random.Random) -> str:
    """The target of a call with any price, of which the agent states no more than was held."""
    price = Price(cost := chance.randint(1, HIGHEST_COST), chance.choice((0, chance.randint(cost, HIGHEST_COST))))
    query: dict[str, object] = {"after": f"{chance.random() * 0.004:.4f}"}
    if chance.random() < 0.5:
        query["quantity"] = chance.randint(0, price.held)
    return price.target(**query)
