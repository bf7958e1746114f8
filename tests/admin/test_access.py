"""Who may look is asked in constant time and written down; a page elsewhere cannot look through a browser here."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gatewayd.admin.access import REFUSALS, Access
from gatewayd.config.settings import Address, AdminSettings, Secret
from tests.clocks import ManualClock
from tests.config.shared import MINIMAL, told, warned
from tests.gateways import PLANS, running_gateway
from tests.problems import ask

ANN, BEN = "a-token-that-only-ann-has", "a-token-that-only-ben-has"
TOKENS = f'token = "{"t" * 24}"\ntokens = {{ ann = "{ANN}", ben = "{BEN}" }}\n'


def lines(path: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in found if line["event"] == "action"]


async def test_each_token_has_its_owners_name_in_the_audit_log(tmp_path: Path) -> None:
    audit = tmp_path / "audit.log"
    general = f'{PLANS}[audit_log]\nfile = "{audit}"\n'
    async with (
        running_gateway(tmp_path, "http://127.0.0.1:9", admin=TOKENS, general=general) as gateway,
        aiohttp.ClientSession(gateway.admin_url) as session,
    ):
        for token in (ANN, BEN, "t" * 24):
            bearer = {"Authorization": f"Bearer {token}"}
            assert (await ask(session, "/usage/user?user=eve", bearer)).status == 200
            assert (await ask(session, "/metrics", bearer)).status == 200
        for bearer in ({}, {"Authorization": f"Bearer {ANN}x"}):
            assert (await ask(session, "/api/usage", bearer)).status == 401
    found = lines(audit)
    assert [(each["by"], each["path"], each["result"]) for each in found] == [
        ("ann", "/usage/user", "done"),
        ("ben", "/usage/user", "done"),
        ("admin", "/usage/user", "done"),
        ("nobody", "/api/usage", "refused"),
        ("nobody", "/api/usage", "refused"),
    ]
    assert {each["from"] for each in found} == {"127.0.0.1"}
    assert found[0]["user"] == "eve"
    assert not any(token in audit.read_text() for token in (ANN, BEN, "t" * 24))


async def test_a_browser_is_asked_for_a_token_and_sends_it_as_a_password(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, "http://127.0.0.1:9", admin=TOKENS) as gateway,
        aiohttp.ClientSession(gateway.admin_url) as session,
    ):
        async with session.get("/") as refused:
            challenges = refused.headers.getall("WWW-Authenticate")
        assert (refused.status, [each.split(" ")[0] for each in challenges]) == (401, ["Bearer", "Basic"])
        for user, password, status in (("", ANN, 200), ("me", ANN, 200), (ANN, "", 401), ("ann", BEN + "x", 401)):
            basic = {"Authorization": aiohttp.encode_basic_auth(user, password)}
            assert (await ask(session, "/", basic)).status == status
        for broken in ("Basic", "Basic %", "Basic " + "=" * 9, "Basic YW5u", "Basic /w=="):
            assert (await ask(session, "/", {"Authorization": broken})).status == 401


async def test_who_looks_is_noted_where_no_audit_log_was_named_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with (
        running_gateway(tmp_path, "http://127.0.0.1:9") as gateway,
        aiohttp.ClientSession(gateway.admin_url) as session,
    ):
        assert (await ask(session, "/usage/user?user=eve")).status == 200
    (found,) = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"event":"action"' in line]
    assert (found["action"], found["user"], found["from"]) == ("admin request", "eve", "127.0.0.1")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9901", 200),
        ("127.8.9.1", 200),
        ("localhost:1", 200),
        ("LOCALHOST.", 200),
        ("[::1]:9901", 200),
        ("evil.example", 403),
        ("evil.example:9901", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("10.0.0.1", 403),
        ("0.0.0.0", 403),
    ],
)
async def test_without_a_token_only_this_machines_own_names_lead_here(tmp_path: Path, host: str, status: int) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:9") as gateway, aiohttp.ClientSession() as session:
        answered = await ask(session, f"{gateway.admin_url}/api/status", {"Host": host})
        assert answered.status == status
        assert b"pid" not in answered.body or status == 200


async def test_with_a_token_it_may_have_any_name(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, "http://127.0.0.1:9", admin=TOKENS) as gateway,
        aiohttp.ClientSession() as session,
    ):
        headers = {"Host": "admin.example", "Authorization": f"Bearer {ANN}"}
        assert (await ask(session, f"{gateway.admin_url}/api/status", headers)).status == 200


def settings(kind: str = "tcp", **tokens: str) -> AdminSettings:
    listen = Address("unix", path="/run/x") if kind == "unix" else Address("tcp", "127.0.0.1", 9901)
    return AdminSettings(listen=listen, token=None, tokens={name: Secret(each, "a") for name, each in tokens.items()})


async def test_a_flood_of_refusals_is_counted_and_not_written(tmp_path: Path) -> None:
    clock, audit = ManualClock(), tmp_path / "audit.log"
    access = Access(settings(ann=ANN), str(audit), clock)
    for _ in range(3 * REFUSALS):
        with pytest.raises(web.HTTPUnauthorized):
            await access.admit(make_mocked_request("GET", "/usage"))
    assert len(lines(audit)) == REFUSALS
    clock.advance(60)
    with pytest.raises(web.HTTPUnauthorized):
        await access.admit(make_mocked_request("GET", "/usage"))
    assert lines(audit)[-1]["not_written_before"] == 2 * REFUSALS


async def test_every_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)
    access = Access(settings(ann=ANN, ben=BEN), "", ManualClock())
    for token in (ANN, BEN, "x", "x" * 500):
        compared.clear()
        assert access._proved(make_mocked_request("GET", "/", {"Authorization": f"Bearer {token}"})) == (
            {ANN: "ann", BEN: "ben"}.get(token)
        )
        assert len(compared) == 2
        assert {len(each) for pair in compared for each in pair} == {32}


async def test_a_socket_of_this_machine_asks_for_no_name_and_a_full_disk_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    access = Access(settings("unix"), str(tmp_path / "missing" / "audit.log"), ManualClock())
    await access.admit(make_mocked_request("GET", "/usage", {"Host": "anything"}))
    assert "cannot be written" in caplog.text


def test_tokens_that_are_alike_or_short_are_told() -> None:
    text = f'{MINIMAL}[admin]\ntoken = "{ANN}"\ntokens = {{ ann = "{ANN}" }}\n'
    (found,) = told(text)
    assert "admin.tokens.ann: is the same as admin.token" in found
    assert ANN not in found
    text = f'{MINIMAL}[admin]\ntokens = {{ ann = {{ env = "SHORT" }} }}\n'
    found_ = warned(text, {"GATEWAYD_JWT_SECRET": "s" * 32, "SHORT": "short"})
    assert found_ == ["admin.tokens.ann: is shorter than 16 characters"]


def test_named_tokens_are_enough_to_be_reached_by_others() -> None:
    listen = '[admin]\nlisten = "0.0.0.0:9901"\n'
    assert told(f'{MINIMAL}{listen}tokens = {{ ann = "{ANN}" }}\n') == []
    assert "is required where others can reach" in told(MINIMAL + listen)[0]
