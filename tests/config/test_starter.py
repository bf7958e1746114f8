import pytest

from gatewayd.config.loading import parse
from gatewayd.config.settings import Settings
from gatewayd.config.starter import AGENTS, Agent, from_environment
from gatewayd.errors import ConfigError
from gatewayd.model import Rate
from tests.config.shared import ENVIRON, SECRET


def _loaded(environ: dict[str, str]) -> Settings:
    loaded = parse(from_environment(environ).text, "gatewayd.toml", ENVIRON | environ)
    assert not loaded.warnings
    return loaded.settings


def test_the_starter_has_the_five_agents_of_the_platform() -> None:
    settings = parse(from_environment({}).text, "gatewayd.toml", ENVIRON).settings
    assert {(name, route.prefix, *route.upstream, route.usage.unit) for name, route in settings.routes.items()} == {
        ("email", "/api/email", "http://127.0.0.1:8081/api/email", "api_calls"),
        ("rag", "/api/rag", "http://127.0.0.1:8082/api", "api_calls"),
        ("scraper", "/api/scraper", "http://127.0.0.1:8083/api/scraper", "scraping_tasks"),
        ("support", "/api/support", "http://127.0.0.1:8084/api", "api_calls"),
        ("aiops", "/api/aiops", "http://127.0.0.1:8085/api/aiops", "api_calls"),
    }
    assert settings.plans["free"].quota == {"api_calls": 100, "scraping_tasks": 10, "tokens": 10_000}
    assert settings.plans["free"].default


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_the_base_url_of_an_older_deployment_gets_the_agents_path(agent: object) -> None:
    name, variable = getattr(agent, "name", ""), getattr(agent, "variable", "")
    upstream = _loaded({}).routes[name].upstream[0]
    path = upstream.split("/", 3)[3]
    assert _loaded({variable: "http://agent.example:9000/"}).routes[name].upstream == (
        f"http://agent.example:9000/{path}",
    )


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
@pytest.mark.parametrize("end", ["", "/"])
def test_a_whole_base_url_is_kept_as_it_is(agent: Agent, end: str) -> None:
    given = f"http://agent.example:9000{agent.mount}"
    assert _loaded({agent.variable: given + end}).routes[agent.name].upstream == (given,)


def test_rates_and_timeouts_are_kept_and_hold_for_users_of_the_plan() -> None:
    settings = _loaded({"RATE_LIMIT_PER_MINUTE": "7", "RATE_LIMIT_PER_HOUR": "90", "REQUEST_TIMEOUT": "2.5"})
    assert settings.rate_limit.limits == (Rate(7, "minute"), Rate(90, "hour"))
    assert settings.plans["free"].rate_limit is None
    assert {route.timeouts.first_byte for route in settings.routes.values()} == {2.5}


@pytest.mark.parametrize(("text", "seconds"), [("45", 45), ("1.050", 1.05), ("", 30), (" 30 ", 30)])
def test_a_timeout_is_kept_to_the_millisecond(text: str, seconds: float) -> None:
    assert _loaded({"REQUEST_TIMEOUT": text}).routes["email"].timeouts.first_byte == seconds


def test_secrets_stay_in_their_variables() -> None:
    environ = {"SECRET_KEY": "hunter2" * 5, "DATABASE_URL": "postgresql://u:hunter2@h/db"}
    assert "hunter2" not in from_environment(environ).text
    settings = _loaded(environ)
    assert settings.auth.secret is not None
    assert settings.auth.secret.reveal() == environ["SECRET_KEY"]
    assert settings.ledger.url.reveal() == environ["DATABASE_URL"]


@pytest.mark.parametrize("url", ["", "sqlite:///old.db", "mysql://u:p@h/db"])
def test_another_database_leaves_the_ledger_where_it_is(url: str) -> None:
    assert _loaded({"DATABASE_URL": url}).ledger.url.reveal() == "sqlite:var/gatewayd.db"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("EMAIL_AGENT_URL", "email:8081", "is not an http or https URL"),
        ("RAG_AGENT_URL", "http://u:hunter2@rag", "has a user or password"),
        ("RATE_LIMIT_PER_MINUTE", "0", "must be a whole number of at least 1"),
        ("RATE_LIMIT_PER_HOUR", "many", "must be a whole number of at least 1"),
        ("REQUEST_TIMEOUT", "0.0", "must be a number of seconds above 0"),
        ("REQUEST_TIMEOUT", "30s", "must be a number of seconds above 0"),
    ],
)
def test_a_variable_that_cannot_be_kept_is_told_by_name_and_not_quoted(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        from_environment({variable: value})
    (problem,) = refused.value.problems
    assert (problem.file, problem.key, problem.message) == ("the environment", variable, message)
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    ("variable", "value", "key", "message"),
    [
        ("SECRET_KEY", "hunter2", "auth.secret", "HS256 needs a secret of at least 32 bytes, this one has 7"),
        ("DATABASE_URL", "postgresql+asyncpg://u:hunter2@h/db", "ledger.url", "is of another form"),
        ("DATABASE_URL", "postgres://u:hunter2@h/db", "ledger.url", "is of another form"),
    ],
)
def test_what_only_the_variable_holds_is_warned_of_and_check_refuses_it(
    variable: str, value: str, key: str, message: str
) -> None:
    text, (warning,) = from_environment({variable: value})
    assert (warning.file, warning.key, warning.message) == ("the environment", variable, message)
    assert "hunter2" not in f"{text}{warning}"
    with pytest.raises(ConfigError) as refused:
        parse(text, "gatewayd.toml", ENVIRON | {variable: value})
    assert [problem.key for problem in refused.value.problems] == [key]


def test_every_variable_that_cannot_be_kept_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        from_environment({agent.variable: "x" for agent in AGENTS} | {"REQUEST_TIMEOUT": "x"})
    assert len(refused.value.problems) == 6
    assert SECRET not in str(refused.value)
