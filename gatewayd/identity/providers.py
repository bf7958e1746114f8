"""Every identity provider that the configuration names, each with its keys. It outlives generations."""

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from aiohttp import ClientSession

from gatewayd.clock import Clock
from gatewayd.config.settings import AuthSettings, Provider
from gatewayd.errors import IssuerUnavailable
from gatewayd.identity.fetching import fetch, trust
from gatewayd.identity.holding import Shared
from gatewayd.identity.jwk import Unusable, read_keys
from gatewayd.identity.published import PublishedKeys
from gatewayd.identity.shelf import Shelf
from gatewayd.identity.signatures import VerificationKey


class Providers:
    """Mutable: a provider is asked for its keys from when somebody first needs them, until it is let go."""

    def __init__(self, session: ClientSession, state_dir: Path, shared: Shared, clock: Clock) -> None:
        self._session = session
        self._state_dir = state_dir
        self._shared = shared
        self._clock = clock
        self._known: dict[Provider, PublishedKeys] = {}

    def keys_of(self, provider: Provider) -> PublishedKeys:
        """The one set of keys of this provider. Raises StartError for authorities that cannot be used."""
        if (known := self._known.get(provider)) is None:
            get = partial(fetch, self._session, timeout=provider.jwks.timeout, tls=trust(provider.jwks.ca))
            shelf = Shelf(self._state_dir, provider)
            known = self._known[provider] = PublishedKeys(provider, get, shelf, self._shared, self._clock)
            known.start()
        return known

    def status(self) -> list[dict[str, object]]:
        """What operators want to know of each."""
        return [
            {"name": each.name, "keys": each.size, "age_seconds": each.age, "failing": each.failing}
            for each in self._known.values()
        ]

    async def keep_only(self, providers: Collection[Provider]) -> None:
        """Let go of those that no generation in force needs."""
        for provider in [each for each in self._known if each not in providers]:
            await self._known.pop(provider).close()

    async def close(self) -> None:
        await self.keep_only(())


class KeptKeys:
    """A `KeySource` for commands, which send nothing: the keys that the daemon of this state directory kept last."""

    def __init__(self, state_dir: Path, provider: Provider) -> None:
        self._shelf = Shelf(state_dir, provider)

    def at_hand(self, algorithm: str, key_id: str | None) -> Sequence[VerificationKey]:  # noqa: ARG002
        """None: they are on disk."""
        return ()

    async def find(
        self, algorithm: str, key_id: str | None, tried: Sequence[VerificationKey] = ()
    ) -> Sequence[VerificationKey]:
        """As KeySource.find; nothing is waited for."""
        if tried:
            return ()
        try:
            kept = self._shelf.read()
            if kept is not None:
                return read_keys(kept.document, lambda _: None).find(algorithm, key_id)
        except (OSError, Unusable):
            pass
        raise IssuerUnavailable("The daemon has not fetched the identity provider's keys yet.")


def providers_of(settings: AuthSettings) -> set[Provider]:
    """All whose keys these settings need."""
    every = (settings, *settings.issuers.values())
    return {each.provider for each in every if each.provider is not None}
