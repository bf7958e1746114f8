"""What is remembered: within bounds, and the newest of it."""

from gatewayd.remembering import remember


def test_what_is_remembered_is_bounded_and_the_newest_is_there() -> None:
    memory: dict[bytes, int] = {}
    for number in range(8):
        remember(memory, b"%d" % number, number, 3)
        assert len(memory) <= 3
        assert memory[b"%d" % number] == number
    assert memory == {b"6": 6, b"7": 7}
