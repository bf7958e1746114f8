"""What the tests of this room share: a sound configuration, and how to see every problem of a broken one."""

from collections.abc import Mapping

from gatewayd.config.loading import parse
from gatewayd.config.settings import Settings
from gatewayd.errors import ConfigError, Problem

SECRET = "correct-horse-battery-staple-0123456789"
ENVIRON = {"GATEWAYD_JWT_SECRET": SECRET}
AUTH = '[auth]\nsecret = { env = "GATEWAYD_JWT_SECRET" }\n'
ROUTE = '[routes.email]\nprefix = "/api/email"\nupstream = "http://127.0.0.1:8081/api/email"\n'
MINIMAL = AUTH + ROUTE


def problems(text: str, environ: Mapping[str, str] = ENVIRON, file: str = "gatewayd.toml") -> tuple[Problem, ...]:
    """Every problem of the text; none when it loads."""
    try:
        parse(text, file, environ)
    except ConfigError as error:
        return error.problems
    return ()


def told(text: str, environ: Mapping[str, str] = ENVIRON, file: str = "gatewayd.toml") -> list[str]:
    """Every problem as `line:column: key: message`."""
    return [f"{each.line}:{each.column}: {each.key}: {each.message}" for each in problems(text, environ, file)]


def warned(text: str, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    """Every warning as `key: message`."""
    return [f"{each.key}: {each.message}" for each in parse(text, "gatewayd.toml", environ).warnings]


def settings(text: str, environ: Mapping[str, str] = ENVIRON) -> Settings:
    return parse(text, "gatewayd.toml", environ).settings
