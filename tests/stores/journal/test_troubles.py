"""Why a journal takes no requests is said once for each reason, and that it takes them again."""

import logging
from pathlib import Path

import pytest

from gatewayd.stores.journal.troubles import JournalFull, Troubles


def test_each_trouble_is_said_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    troubles = Troubles(Path("here"))
    with caplog.at_level(logging.WARNING):
        troubles.are_over()
        for trouble in ("no room", "no room", "no disk", "no room"):
            assert isinstance(troubles.refusal(trouble), JournalFull)
        for _ in range(2):
            troubles.are_over()
    assert [record.getMessage() for record in caplog.records] == [
        "journal here takes no requests (no room): they get 503 until there is room",
        "journal here takes no requests (no disk): they get 503 until there is room",
        "journal here takes no requests (no room): they get 503 until there is room",
        "journal here takes requests again",
    ]
