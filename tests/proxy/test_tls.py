"""A gateway and an agent that prove themselves to each other talk; any other two do not."""

import ssl
from pathlib import Path

import aiohttp
import pytest

from gatewayd.config.settings import AgentTls
from gatewayd.errors import StartError
from gatewayd.proxy.tls import Peers, agent_context
from tests.agents import answering, raw_agent
from tests.certificates import write_certificate
from tests.gateways import running_gateway
from tests.problems import ask

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def demanding(folder: Path) -> ssl.SSLContext:
    """An agent's side: it takes the gateway's certificate only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "gateway.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "agent.crt", folder / "agent.key")
    return context


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("agent", "gateway", "stranger"):
        write_certificate(tmp_path, name)
    return tmp_path


def route(url: str, folder: Path, **names: str) -> str:
    lines = ", ".join(f"{key} = '{folder / value if key != 'server_name' else value}'" for key, value in names.items())
    return f"[routes.email]\nprefix = '/api/email'\nupstream = '{url}'\ntls = {{ {lines} }}\n"


MUTUAL = {"ca": "agent.crt", "certificate": "gateway.crt", "key": "gateway.key"}


@pytest.mark.parametrize(
    ("names", "status"),
    [
        pytest.param(MUTUAL, 200, id="both prove themselves"),
        pytest.param(MUTUAL | {"server_name": "127.0.0.1"}, 200, id="by the name that was said"),
        pytest.param(MUTUAL | {"ca": "stranger.crt"}, 502, id="an agent from nobody we trust"),
        pytest.param({"certificate": "gateway.crt", "key": "gateway.key"}, 502, id="an agent unknown to the system"),
        pytest.param(MUTUAL | {"server_name": "other.example"}, 502, id="an agent of another name"),
        pytest.param(
            MUTUAL | {"certificate": "stranger.crt", "key": "stranger.key"}, 502, id="a gateway the agent does not know"
        ),
        pytest.param({"ca": "agent.crt"}, 502, id="a gateway that shows nothing"),
    ],
)
async def test_only_who_is_proved_to_each_other_talks(folder: Path, names: dict[str, str], status: int) -> None:
    async with (
        raw_agent(answering(OK), demanding(folder)) as agent,
        running_gateway(folder, routes=route(agent.url, folder, **names)) as gateway,
        aiohttp.ClientSession(gateway.url) as session,
    ):
        answered = [await ask(session, "/api/email/x", gateway.bearer()) for _ in range(2)]
        assert [each.status for each in answered] == [status, status]
        assert any(b"X-User-ID: ann" in each for each in agent.received) == (status == 200)
        if status == 200:
            assert len(agent.received) == 1  # the connection was used again
        else:
            assert answered[0].json["code"] in ("upstream_connect", "upstream_reset")


def settings(folder: Path, name: str = "gateway") -> AgentTls:
    return AgentTls(
        ca=folder / "agent.crt", certificate=folder / f"{name}.crt", key=folder / f"{name}.key", server_name=None
    )


def test_a_peer_is_the_same_until_one_of_its_files_changes(folder: Path) -> None:
    peers = Peers()
    first = peers.of(settings(folder))
    assert peers.of(settings(folder)) is first
    assert peers.of(settings(folder, "stranger")) is not first
    write_certificate(folder, "gateway")
    assert peers.of(settings(folder)) is not first


def test_an_agents_certificate_is_always_judged(folder: Path) -> None:
    context = agent_context(AgentTls(ca=None, certificate=None, key=None, server_name=None))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_files_that_cannot_be_used_stop_the_start(folder: Path) -> None:
    mixed = AgentTls(ca=None, certificate=folder / "agent.crt", key=folder / "gateway.key", server_name=None)
    with pytest.raises(StartError, match=r"^tls\.certificate: cannot use "):
        Peers().of(mixed)
    (folder / "agent.crt").write_text("nothing")
    with pytest.raises(StartError, match=r"^tls\.ca: cannot use "):
        Peers().of(settings(folder))
    (folder / "agent.crt").unlink()
    with pytest.raises(StartError, match=r"^tls\.ca: .*: no such file or directory"):
        Peers().of(settings(folder))
