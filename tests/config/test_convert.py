import pytest

from tests.config.shared import AUTH, MINIMAL, ROUTE, settings, told, warned

INI = "[auth]\nsecret.env = GATEWAYD_JWT_SECRET\n"

BROKEN = [
    ("server = 5", "1:10: server: must be a table"),
    ("serve = 5", "1:1: serve: is not known"),
    ("[[routes]]", "1:3: routes: must be a table"),
    ("[server]\nlisten = '127.0.0.1:1'", "2:10: server.listen: must be a list"),
    ("[server]\nlisten = []", "2:10: server.listen: must name at least one address"),
    ("[server]\nlisten = ['127.0.0.1:1',\n '127.0.0.1:1']", "3:2: server.listen[1]: is there twice"),
    ("[server]\nlisten = [1]", "2:11: server.listen[0]: must be a string"),
    ("[server]\nlisten = ['${NONE}']", "2:11: server.listen[0]: the variable NONE is not set"),
    ("[server]\nstate_dir = '${NONE}/x'", "2:13: server.state_dir: the variable NONE is not set"),
    ("[server]\ntls = { certificate = 'x' }", "2:1: server.tls.key: is missing"),
    ("[admin]\ntoken = { env = '${NONE}' }", "2:17: admin.token.env: the variable NONE is not set"),
    (
        "[rate_limit]\nlimits = ['1/hour', '2/hour']",
        "2:21: rate_limit.limits[1]: is a second rate of its period",
    ),
    ("[plans.free]\nquota = { tokens = '5' }", "2:20: plans.free.quota.tokens: must be a whole number"),
    ("[plans.free]\nquota = { 'a b' = 5 }", '2:11: plans.free.quota."a b": is not a name'),
    ("[plans.free]\nquota = 5", "2:9: plans.free.quota: must be a table"),
    ("[routes.'a b']\n" + ROUTE.split("\n", 1)[1], '1:2: routes."a b": is not a name'),
    ("[routes.rag]\nupstream = 'http://h'", "1:2: routes.rag.prefix: is missing"),
]


@pytest.mark.parametrize(("text", "problem"), BROKEN, ids=[problem for _, problem in BROKEN])
def test_a_value_that_does_not_fit_the_schema_is_told_with_its_place(text: str, problem: str) -> None:
    assert told(f"{text}\n{AUTH}") == [problem]


def test_all_problems_are_told_at_once_and_in_the_order_of_the_file() -> None:
    text = "[server]\nlisen = 1\nworkers = 0\ndrain_timeout = 5\n[routes.a]\nprefix = 'a'\nmethods = ['get', 'got']\n"
    assert told(text) == [
        "0:0: auth.secret: is missing: there is no key to verify tokens with",
        "2:1: server.lisen: is not known",
        "3:11: server.workers: must be at least 1",
        "4:17: server.drain_timeout: is a duration without a unit",
        "5:2: routes.a.upstream: is missing",
        "6:10: routes.a.prefix: must begin with /",
        "7:12: routes.a.methods[0]: must be in upper case",
        "7:19: routes.a.methods[1]: must be in upper case",
    ]


def test_ini_says_numbers_truths_and_lists_in_text() -> None:
    text = (
        INI
        + "[server]\nworkers = 3\nlisten = 127.0.0.1:1,\n  unix:/x\n[route:a]\nprefix=/a\nupstream=http://h\npublic=yes\nroles=\n"
    )
    assert told(text, file="g.ini") == []


INI_BROKEN = [
    ("[server]\nworkers = many", '2:11: server.workers: must be a whole number or "auto"'),
    ("[server]\nlisten = a, 127.0.0.1:1", "2:10: server.listen[0]: is not an address"),
    ("[server]\ntls = x", "2:7: server.tls: must be a table"),
    ("[server]\nlisten.x = 1", "2:1: server.listen: must be a list"),
    ("[plan:free]\nquota.a = b", "2:11: plans.free.quota.a: must be a whole number"),
    ("[plan:free]\ndefault = maybe", "2:11: plans.free.default: must be true or false"),
    ("[servr]\nworkers = 1", "1:1: servr: is not known"),
]


@pytest.mark.parametrize(("text", "problem"), INI_BROKEN, ids=[problem for _, problem in INI_BROKEN])
def test_problems_of_ini_have_their_place(text: str, problem: str) -> None:
    assert told(f"{text}\n{INI}", file="g.ini") == [problem]


def test_a_literal_secret_is_a_warning_that_does_not_quote_it() -> None:
    text = ROUTE + "[auth]\nsecret = 'hunter2-hunter2-hunter2-hunter2-'\n"
    assert warned(text) == ["auth.secret: a secret stands in the file"]


def test_a_secret_out_of_the_environment_is_none() -> None:
    assert warned(ROUTE + "[auth]\nsecret = '${GATEWAYD_JWT_SECRET}'\n") == []


def test_an_upstream_may_stand_alone_or_in_a_list() -> None:
    several = MINIMAL.replace('"http://127.0.0.1:8081/api/email"', '["http://a/", "http://b"]')
    assert settings(MINIMAL).routes["email"].upstream == ("http://127.0.0.1:8081/api/email",)
    assert settings(several).routes["email"].upstream == ("http://a", "http://b")


def test_a_route_and_a_plan_know_their_names() -> None:
    loaded = settings(MINIMAL + "[plans.free]\n")
    assert (loaded.routes["email"].name, loaded.plans["free"].name) == ("email", "free")
