import pytest

from tests.config.shared import AUTH, ENVIRON, MINIMAL, ROUTE, problems, told, warned

RAG = '[routes.rag]\nprefix = "{}"\nupstream = "http://127.0.0.1:8082/api"\n'


@pytest.mark.parametrize("prefix", ["/health", "/ready", "/gateway", "/gateway/v1/usage"])
def test_a_prefix_of_the_gateways_own_is_refused(prefix: str) -> None:
    (problem,) = told(AUTH + RAG.format(prefix))
    assert problem.startswith("4:10: routes.rag.prefix: collides with /")


@pytest.mark.parametrize("prefix", ["/", "/healthy", "/gateway-x", "/api/email/x", "/api"])
def test_a_prefix_beside_others_is_accepted(prefix: str) -> None:
    assert told(MINIMAL + RAG.format(prefix)) == []


def test_two_routes_cannot_share_a_prefix() -> None:
    assert told(MINIMAL + RAG.format("/api/email")) == [
        '7:10: routes.rag.prefix: is the prefix of the route "email" as well'
    ]


def test_one_plan_at_most_is_the_default() -> None:
    text = MINIMAL + "[plans.a]\ndefault = true\n[plans.b]\n[plans.c]\ndefault = true\n"
    assert told(text) == ['10:11: plans.c.default: "a" is the default plan already']


def test_the_units_held_cover_the_cost() -> None:
    assert told(MINIMAL + "usage = { cost = 5, max = 4 }\n") == [
        "6:27: routes.email.usage.max: is less than the cost, 5"
    ]
    assert told(MINIMAL + "usage = { cost = 5, max = 5 }\n") == []


@pytest.mark.parametrize("usage", ["{ cost = 'x', max = 1 }", "{ cost = 1, max = -1 }", "5"])
def test_a_usage_that_cannot_be_read_is_told_once(usage: str) -> None:
    assert len(told(f"{MINIMAL}usage = {usage}\n")) == 1


def test_a_unit_that_no_plan_names_is_a_warning() -> None:
    text = MINIMAL + 'usage = { unit = "api_cals" }\n[plans.free]\nquota = { api_calls = 5 }\n'
    assert warned(text) == [
        'routes.email.usage.unit: no plan names the unit "api_cals", so it is recorded but not limited'
    ]


def test_no_routes_are_a_warning() -> None:
    assert warned(AUTH) == ["routes: there are none, so every request gets 404"]


@pytest.mark.parametrize("listen", ["0.0.0.0:9901", "[::]:9901", "systemd:admin", "admin.example:1"])
def test_an_admin_listener_that_others_reach_needs_a_token(listen: str) -> None:
    text = f'{MINIMAL}[admin]\nlisten = "{listen}"\n'
    assert [problem.key for problem in problems(text)] == ["admin.token"]
    named = text + 'token = { env = "ADMIN" }\n'
    assert told(named) == ["8:9: admin.token: is required where others can reach the admin listener"]
    assert told(named, ENVIRON | {"ADMIN": "x"}) == []


@pytest.mark.parametrize("listen", ["127.0.0.1:9901", "[::1]:9901", "localhost:9901", "unix:/run/admin.sock"])
def test_an_admin_listener_of_this_machine_needs_none(listen: str) -> None:
    assert told(f'{MINIMAL}[admin]\nlisten = "{listen}"\ntoken = {{ env = "ADMIN" }}\n') == []


def test_an_admin_token_that_is_set_but_empty_is_refused() -> None:
    text = MINIMAL + '[admin]\ntoken = { env = "ADMIN" }\n'
    assert told(text, ENVIRON | {"ADMIN": ""}) == ["7:9: admin.token: the secret is empty"]


def test_callers_and_operators_have_different_addresses() -> None:
    text = MINIMAL + '[admin]\nlisten = "127.0.0.1:8080"\n'
    assert told(text) == ["7:10: admin.listen: is an address of server.listen as well"]
    free = text.replace("8080", "0") + '[server]\nlisten = ["127.0.0.1:0"]\n'
    assert told(free) == []


def test_what_has_a_problem_already_is_not_judged_again() -> None:
    broken = ROUTE.replace("/api/email", "api", 1) + "usage = 5\n[plans]\nfree = 5\n[admin]\nlisten = 1\n"
    assert [problem.key for problem in problems(AUTH + broken)] == [
        "routes.email.prefix",
        "routes.email.usage",
        "plans.free",
        "admin.listen",
    ]
