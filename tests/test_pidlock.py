"""One process holds the file, and the next one learns which."""

import os
from pathlib import Path

from gatewayd.pidlock import take


def test_the_second_learns_who_came_first_until_that_one_lets_go(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.write_text("an older holder, whose name was longer\n")
    first, second = (os.open(file, os.O_RDWR) for _ in range(2))
    try:
        assert take(first) is None
        assert file.read_text() == f"{os.getpid()}\n"
        assert take(second) == str(os.getpid())
        os.close(first)
        assert take(second) is None
    finally:
        os.close(second)
