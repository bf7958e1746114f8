"""What is known of an open hold: what its frames need, and what its owner put beside it."""

from dataclasses import replace

import pytest

from gatewayd.stores.journal import frames
from gatewayd.stores.journal.opened import Opened
from tests.stores.journal.entries import ENDING, hold


def test_an_open_hold_has_its_name_and_room_for_its_conclusion() -> None:
    beside = object()
    opened = Opened(replace(hold(1), id="ü"), beside)
    assert (opened.hold.id, opened.name) == ("ü", "ü".encode())
    assert opened.space >= frames.space(len(frames.conclusion("ü", ENDING)))
    assert opened.beside is beside


def test_an_id_that_cannot_be_written_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="a hold that cannot be written"):
        Opened(replace(hold(1), id="\ud800"), None)
