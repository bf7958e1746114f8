"""The daemon's name, and what is known after a call that failed."""

from pathlib import Path

import pytest

from gatewayd.books.vault import Vault, node_of
from gatewayd.errors import StoreError, StoreUnavailable
from tests.books.offices import settings_in
from tests.clocks import ManualClock


def test_a_daemon_keeps_its_name(tmp_path: Path) -> None:
    assert node_of(tmp_path) == node_of(tmp_path)
    assert len(node_of(tmp_path)) == 16


def test_a_state_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"server\.state_dir: cannot write"):
        node_of(tmp_path / "missing")


async def test_after_a_failure_nothing_is_certain(tmp_path: Path) -> None:
    vault = Vault(settings_in(tmp_path).ledger, tmp_path, ManualClock())
    with pytest.raises(StoreUnavailable):
        await vault.leases()
    await vault.open()
    vault.certain = True
    await vault.leases()
    after_success = vault.certain
    await vault.close()
    with pytest.raises(StoreUnavailable):
        await vault.leases()
    assert (after_success, vault.certain) == (True, False)
    assert not vault.shared
