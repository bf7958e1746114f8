"""A body that has come whole is taken once, and nothing that happens to its connection concerns it."""

from gatewayd.errors import UpstreamReset
from gatewayd.proxy.whole import Whole


async def test_all_of_it_is_taken_once_and_then_it_is_at_its_end() -> None:
    body = Whole(b"all")
    assert (body.is_whole, body.at_end) == (True, False)
    assert (await body.read(0.0), await body.read(0.0), body.at_end) == (b"all", b"", True)


def test_who_breaks_off_or_lets_go_changes_nothing_of_it() -> None:
    body = Whole(b"all")
    body.fail(UpstreamReset())
    body.detach()
    assert (body.trailers(), body.take(), body.take()) == ([], b"all", b"")
