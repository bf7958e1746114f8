"""What every answer to an operator carries."""

from aiohttp import web

from gatewayd.admin.headers import SECURITY, dress


def test_an_answers_own_fields_stay_and_the_others_are_added() -> None:
    response = web.Response(headers={"Cache-Control": "max-age=5"})
    dress(response)
    assert response.headers["Cache-Control"] == "max-age=5"
    assert all(response.headers[name] == value for name, value in SECURITY.items() if name != "Cache-Control")


def test_nothing_may_run_but_what_this_listener_serves() -> None:
    rules = dict(each.strip().split(" ", 1) for each in SECURITY["Content-Security-Policy"].split(";"))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("frame-ancestors") == "'none'"
    assert set(rules.values()) == {"'self'"}
