"""What a reload opens anew in a worker that serves: certificates and logs; the whole transaction is in test_reload."""

import asyncio
import socket
import ssl
from pathlib import Path

from tests.agents import answering, raw_agent
from tests.certificates import write_certificate
from tests.daemons import RunningDaemon, running_daemon
from tests.process.crews import eventually
from tests.process.reloads import email, reloaded, says, status_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"


async def called(daemon: RunningDaemon, place: str) -> None:
    async with daemon.session() as session, session.get(f"/api/email/{place}") as response:
        assert response.status == 200


def shown(port: int, trust: Path) -> str:
    """The serial number of the certificate that a caller sees."""
    context = ssl.create_default_context(cafile=trust)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as sock:
        certificate = sock.getpeercert()
        assert certificate
        return str(certificate["serialNumber"])


async def test_a_certificate_that_was_renewed_in_its_files_is_shown_after_a_reload(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    tls = f'tls = {{ certificate = "{certificate}", key = "{key}" }}'
    async with running_daemon(says(tmp_path, email("http://127.0.0.1:9"), server=tls)) as daemon:
        first = await asyncio.to_thread(shown, daemon.port, certificate)
        write_certificate(tmp_path)
        await reloaded(daemon)
        second = await asyncio.to_thread(shown, daemon.port, certificate)
    assert first != second


async def test_tls_can_be_turned_on(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    async with running_daemon(says(tmp_path, email("http://127.0.0.1:9"))) as daemon:
        tls = f'tls = {{ certificate = "{certificate}", key = "{key}" }}'
        says(tmp_path, email("http://127.0.0.1:9"), server=tls)
        await reloaded(daemon)
        assert await asyncio.to_thread(shown, daemon.port, certificate)
        assert (await status_of(daemon))["listening"] == [daemon.url.replace("http:", "https:")]


async def test_a_log_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    async with raw_agent(answering(OK)) as agent, running_daemon(says(tmp_path, email(agent.url))) as daemon:
        await called(daemon, "before")
        (tmp_path / "access.log").rename(tmp_path / "access.log.1")
        await reloaded(daemon)
        await called(daemon, "after")
        await eventually(lambda: "/after" in (tmp_path / "access.log").read_text())
        assert "/before" in (tmp_path / "access.log.1").read_text()
        assert "/after" not in (tmp_path / "access.log.1").read_text()
