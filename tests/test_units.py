"""The systemd units, read as text; that systemd takes them and how exposed they are is tried by .ci/units."""

import re
from pathlib import Path

import pytest

from gatewayd.cli import main
from tests.daemons import ROOT

UNITS = ROOT / "systemd"
SERVICES = [UNITS / "gatewayd.service", UNITS / "gatewayd@.service"]


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_every_command_in_a_unit_is_one_that_there_is(unit: Path) -> None:
    commands = [value.split() for key in ("ExecStart", "ExecReload") for value in values(unit, key)]
    assert [(words[0], words[1]) for words in commands] == [
        ("/usr/local/bin/gatewayd", "start"),
        ("/usr/local/bin/gatewayd", "reload"),
    ]
    assert {words[1] for words in commands} <= main.commands.keys()


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_unit_waits_longer_than_a_drain_and_gives_no_right_that_is_not_needed(unit: Path) -> None:
    assert values(unit, "Type") == ["notify"]
    assert int(values(unit, "TimeoutStopSec")[0]) > 30 + 10
    assert values(unit, "DynamicUser") == ["yes"]
    assert values(unit, "CapabilityBoundingSet") == [""]
    assert values(unit, "LoadCredential")[0].startswith("jwt-secret:/etc/gatewayd/")
    assert values(unit, "WatchdogSec") == ["30"]


def test_the_template_is_the_service_for_one_of_several() -> None:
    service, template = (each.read_text() for each in SERVICES)
    differing = [
        (one, other)
        for one, other in zip(service.splitlines(), template.splitlines(), strict=True)
        if one != other and not one.startswith("#")
    ]
    assert differing
    assert all("%i" in other for _, other in differing)


def test_the_sockets_name_is_the_one_that_its_comment_tells_to_listen_on() -> None:
    (name,) = values(UNITS / "gatewayd.socket", "FileDescriptorName")
    assert f'server.listen = ["systemd:{name}"]' in (UNITS / "gatewayd.socket").read_text()


def test_the_drop_in_has_systemd_wait_for_a_reload() -> None:
    drop_in = UNITS / "gatewayd.service.d/notify-reload.conf"
    assert (values(drop_in, "Type"), values(drop_in, "ExecReload")) == (["notify-reload"], [""])
