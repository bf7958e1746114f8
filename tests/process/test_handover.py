"""What one program reads that another left it; whole upgrades are in test_upgrade."""

import sys

import pytest

from gatewayd.errors import StartError
from gatewayd.process.handover import VARIABLE, handed_over, rehearse

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
PATH = "/api/email/process"


def test_what_nobody_handed_over_is_nothing() -> None:
    assert handed_over({}) is None
    assert handed_over({VARIABLE: "no number"}) is None


def test_a_rehearsal_tells_why_a_program_cannot_take_over() -> None:
    assert rehearse([sys.executable, "-c", "print('9.9')"], {}) == "9.9"
    with pytest.raises(StartError, match=r"^of no use$"):
        rehearse([sys.executable, "-c", "import sys; sys.exit('of no use')"], {})
