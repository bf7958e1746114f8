"""What a trial plays on: an agent, the daemons before it, their ledger, and tokens for any user."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gatewayd.clock import SystemClock
from gatewayd.config.loading import parse
from gatewayd.config.settings import AuthSettings
from gatewayd.identity.signing import sign_token
from gatewayd.prove.agent import HOST, Agent, running_agent
from gatewayd.prove.caller import Caller
from gatewayd.prove.conditions import Conditions
from gatewayd.prove.configuration import COUNTERS, LEDGER, SECRET, Bought, configuration
from gatewayd.prove.daemon import Daemon
from gatewayd.prove.pauses import Pauses, watched

TOKEN_SECONDS: Final = 86_400.0
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody new, who bought something: a name, and a token."""

    name: str
    bought: Bought
    token: str = field(repr=False)


class Stage:
    """Mutable: users come, daemons go. `pauses`: when we stood still ourselves."""

    def __init__(
        self,
        name: str,
        agent: Agent,
        daemons: Sequence[Daemon],
        ledger: str,
        auth: AuthSettings,
        pauses: Pauses,
    ) -> None:
        self.pauses = pauses
        self.agent = agent
        self.daemons = daemons
        self.ledger = ledger
        self.prefix = name
        """All of its users' names begin with it, and nobody else's."""
        self._auth = auth
        self._users = itertools.count(1)
        self._turns = itertools.cycle(daemons)
        self._clock = SystemClock()

    def user(self, bought: Bought) -> User:
        """One whom nobody has seen before."""
        name = f"{self.prefix}{next(self._users)}"
        return User(name, bought, sign_token(self._auth, self._clock, name, plan=bought.name, ttl=TOKEN_SECONDS))

    def caller(self) -> Caller:
        """With a connection of its own to one of the daemons, which take turns."""
        return Caller(next(self._turns))

    async def stop(self) -> None:
        """An orderly end of all daemons. Raises DaemonFailed."""
        await asyncio.gather(*(daemon.stop() for daemon in self.daemons))


@asynccontextmanager
async def stage(
    conditions: Conditions, trial: str, plans: Sequence[Bought], *, workers: int, ledger: str = ""
) -> AsyncIterator[Stage]:
    """`ledger` instead of the conditions' own. Raises DaemonFailed; whatever happens, nothing stays behind."""
    folder = conditions.folder / f"{trial}-{next(_numbers)}"
    folder.mkdir()
    ledger = ledger or conditions.ledger or f"sqlite:{folder}/ledger.db"
    environ = {SECRET: secrets.token_urlsafe(48), LEDGER: ledger, COUNTERS: conditions.counters}
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(running_agent())
        pauses = await stack.enter_async_context(watched())
        states = [folder / str(number) for number in range(1, conditions.daemons + 1)]
        texts = [configuration(str(state), f"http://{HOST}:{agent.port}", workers, plans) for state in states]
        daemons = [_daemon(*each, environ, conditions.sabotage) for each in zip(states, texts, strict=True)]
        for daemon in daemons:
            stack.push_async_callback(daemon.kill)
        await asyncio.gather(*(daemon.start() for daemon in daemons))
        auth = parse(texts[0], "prove.toml", environ).settings.auth
        yield Stage(f"prove-{conditions.run}-{folder.name}-", agent, daemons, ledger, auth, pauses)


def _daemon(state: Path, text: str, environ: dict[str, str], sabotage: str) -> Daemon:
    """Not yet started; its configuration is beside its state."""
    config = state.with_suffix(".toml")
    config.write_text(text)
    return Daemon(config, state, environ, sabotage)
