"""A ledger filled without a daemon, for the commands that look into it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gatewayd.clock import SystemClock
from gatewayd.model import Hold, posting_of
from gatewayd.stores.base import Batch, Want
from gatewayd.stores.open import open_clerk, open_store
from tests.stores.ledgers import record


def url(config: Path) -> str:
    """The ledger of a configuration made by `write_config`."""
    return f"sqlite:{config.parent}/ledger.db"


async def fill(config: Path, spent: Sequence[Hold], plans: Mapping[str, str] | None = None) -> None:
    """Let these requests have been delivered, and these users have their plans."""
    store = await open_store(url(config), "process", SystemClock())
    for each in spent:
        limited = each.units if each.limit else 0
        if limited:
            await store.lease("here", [Want(each.account, each.limit, limited, limited)])
        await store.post("here", Batch([posting_of(record(each), limited)]))
    await store.close()
    with open_clerk(url(config)) as clerk:
        for user, plan in (plans or {}).items():
            clerk.assign(user, plan)
