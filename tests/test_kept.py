"""What an application keeps is found as it would say it itself, whichever was asked about before."""

import pytest
from aiohttp import web

from gatewayd.kept import Kept

KEY = web.AppKey("key", str)


def test_each_application_says_its_own() -> None:
    kept, first, second = Kept(KEY), web.Application(), web.Application()
    first[KEY], second[KEY] = "first", "second"
    assert [kept.of(app) for app in (first, first, second, first)] == ["first", "first", "second", "first"]


def test_nothing_is_found_where_nothing_is_kept_although_another_keeps_something() -> None:
    kept, first, empty = Kept(KEY), web.Application(), web.Application()
    first[KEY] = "first"
    kept.of(first)
    for _ in range(2):
        with pytest.raises(KeyError):
            kept.of(empty)
    assert kept.of(first) == "first"
