"""The schema, the types it fills, and the reference files say the same."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from gatewayd.config.loading import load
from gatewayd.config.schema import ROOT, keys
from gatewayd.config.settings import RouteSettings
from gatewayd.config.shape import REQUIRED, Key, MapOf, Table
from gatewayd.model import Plan, Rate
from tests.config.shared import AUTH, ENVIRON, MINIMAL, settings

CONF = Path(__file__).parents[2] / "conf"
KEYS = list(keys())
TABLES = [ROOT, *(key.kind for _, key in KEYS if isinstance(key.kind, Table))]
LEAVES = [(path, key) for path, key in KEYS if not isinstance(key.kind, Table | MapOf) or path[-1] == "quota"]
# What only the reference plan and route say, so that there is one of each.
EXAMPLES = {
    *("plans.NAME.default", "plans.NAME.quota", "plans.NAME.rate_limit", "auth.secret", "admin.token"),
    *("auth.issuers.NAME.issuer", "auth.issuers.NAME.algorithms"),
}


def _name(path: tuple[str, ...]) -> str:
    return ".".join(path)


@pytest.mark.parametrize("table", [pytest.param(table, id=table.make.__name__) for table in TABLES])
def test_a_table_has_the_keys_of_the_type_it_makes(table: Table) -> None:
    names = {field.name for field in fields(table.make)} - ({"name"} if table.named else set())  # type: ignore[arg-type]
    assert {key.name for key in table.keys} == names


@pytest.mark.parametrize("made", [Plan, RouteSettings])
def test_a_named_table_too(made: type) -> None:
    (kind,) = [
        key.kind.item for _, key in KEYS if isinstance(key.kind, MapOf) and getattr(key.kind.item, "make", 0) is made
    ]
    assert isinstance(kind, Table)
    assert {key.name for key in kind.keys} == {field.name for field in fields(made)} - {"name"}


@pytest.mark.parametrize("key", [pytest.param(key, id=_name(path)) for path, key in KEYS])
def test_every_key_has_a_sentence(key: Key) -> None:
    assert key.help.endswith(".")
    assert "\n" not in key.help


@pytest.mark.parametrize(("path", "key"), [pytest.param(path, key, id=_name(path)) for path, key in LEAVES])
@pytest.mark.parametrize("file", ["gatewayd.toml", "gatewayd.ini"])
def test_every_key_is_in_the_reference_with_its_default_and_its_sentence(
    path: tuple[str, ...], key: Key, file: str
) -> None:
    section, default = _reference(path, file)
    assert key.help in section
    if _name(path) not in EXAMPLES and key.default not in (None, REQUIRED):
        assert re.search(rf"(?m)^[^#\n]*\b{re.escape(default)}", section), default
    else:
        assert re.search(rf"(?m)^[^:\n]*\b{key.name}( =|\.\w+ =)", section)


def _reference(path: tuple[str, ...], file: str) -> tuple[str, str]:
    """The section of the reference file, and how it should say the key's default."""
    ini = file.endswith(".ini")
    if "issuers" in path:  # the reference says there what is different, and that all else is as in [auth]
        return (CONF / file).read_text("utf-8").split("\n[auth]\n")[1].split("\n[")[0], _default(
            path, path[3:], ini=ini
        )
    depth = 2 if "NAME" in path else 1
    header = ".".join(path[:depth]).replace("NAME", "free" if path[0] == "plans" else "email")
    if ini and depth == 2:
        header = header.replace("plans.", "plan:").replace("routes.", "route:")
    text = (CONF / file).read_text("utf-8")
    section = text.split(f"\n[{header}]\n")[1].split("\n[")[0]
    return section, _default(path, path[depth:], ini=ini)


def _default(path: tuple[str, ...], inside: tuple[str, ...], *, ini: bool) -> str:
    key = dict(KEYS)[path]
    default = ", ".join(key.default) if ini and isinstance(key.default, list) else key.default
    value = str(default) if default is REQUIRED or (ini and isinstance(default, str)) else json.dumps(default)
    return f"{'.'.join(inside if ini else inside[-1:])} = {value}".rstrip()


def test_the_reference_names_no_key_that_the_schema_does_not_know(tmp_path: Path) -> None:
    text = re.sub(r"(?m)^# (\w+ = |\[)", r"\1", (CONF / "gatewayd.toml").read_text("utf-8"))
    text = re.sub(r"(?m)^(jwks = \{ ca|tls = \{ (ca|server_name)) .*\n", "", text)
    text = text.replace('usage = { unit = "api_calls", cost = 1 }\nusage', "usage")
    for name, fake in (("tls.crt", "tls"), ("tls.key", "tls"), ("idp.pem", "public_key")):
        text = re.sub(rf"(?m)^{fake} = .*{name}.*\n", "", text)
    (tmp_path / "gatewayd.toml").write_text(text)
    environ = {**ENVIRON, "GATEWAYD_OLD_SECRET": "x" * 32, "GATEWAYD_ANN_TOKEN": "y" * 32}
    assert load(tmp_path / "gatewayd.toml", environ).settings.auth.audience == "gatewayd"


def test_the_reference_and_its_ini_twin_load_to_the_same_settings() -> None:
    toml, ini = (load(CONF / name, ENVIRON) for name in ("gatewayd.toml", "gatewayd.ini"))
    assert toml.settings == ini.settings
    assert toml.warnings == ini.warnings == ()


def test_the_reference_has_the_platforms_agents_and_the_defaults() -> None:
    reference = load(CONF / "gatewayd.toml", ENVIRON).settings
    default = settings(MINIMAL)
    assert reference.routes["email"] == default.routes["email"]
    assert [route.prefix for route in reference.routes.values()] == [f"/api/{name}" for name in reference.routes]
    for section in ("server", "admin", "auth", "counters", "ledger", "access_log", "rate_limit"):
        assert getattr(reference, section) == getattr(default, section)


def test_the_defaults_are_those_of_the_contract() -> None:
    default = settings(MINIMAL)
    assert str(default.server.listen[0]) == "127.0.0.1:8080"
    assert (default.server.workers, default.server.drain_timeout, default.server.max_body) == (1, 30, 2**30)
    assert (default.server.max_header_bytes, default.server.max_connections) == (32 * 1024, 20000)
    assert (str(default.admin.listen), default.admin.token) == ("127.0.0.1:9901", None)
    assert (default.auth.algorithms, default.auth.leeway, default.auth.require) == (
        ("HS256",),
        30,
        ("exp", "sub"),
    )
    assert default.counters.url.reveal() == "memory:"
    assert default.ledger.url.reveal() == "sqlite:var/gatewayd.db"
    assert default.rate_limit.limits == (Rate(60, "minute"), Rate(1000, "hour"))
    email = default.routes["email"]
    assert (email.usage.unit, email.usage.cost, email.usage.max, email.max_body) == (
        "api_calls",
        1,
        None,
        None,
    )
    assert (email.charge.failed, email.charge.client_closed, email.upgrades) == (0, "cost", ("websocket",))
    assert (email.timeouts.connect, email.timeouts.first_byte) == (2, 30)
    assert (email.timeouts.idle, email.timeouts.total) == (60, 0)


def test_a_plan_says_no_rates_of_its_own_unless_it_does() -> None:
    plans = settings(AUTH + "[plans.a]\n[plans.b]\nrate_limit = []\n").plans
    assert (plans["a"].rate_limit, plans["b"].rate_limit) == (None, ())
