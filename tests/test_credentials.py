"""Secrets that are credentials of systemd: a daemon starts with them, and a reload takes what they say then."""

import asyncio
from pathlib import Path

import jwt

from tests.agents import answering, raw_agent, talk
from tests.daemons import RunningDaemon, environment, gatewayd, running_daemon, write_config

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
GET = "GET /api/email/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n"
FIRST, SECOND, THIRD = (letter * 32 for letter in "fst")


async def statuses(daemon: RunningDaemon, *secrets: str) -> list[int]:
    """What callers are answered whose tokens are signed with these."""
    tokens = [jwt.encode({"sub": "ann", "exp": 9_999_999_999}, each, algorithm="HS256") for each in secrets]
    answers = [await talk(daemon.port, GET.format(token).encode()) for token in tokens]
    return [int(answer.split(b" ")[1]) for answer in answers]


async def reloaded(daemon: RunningDaemon) -> tuple[int, str]:
    found = await asyncio.to_thread(gatewayd, "reload", "-c", daemon.config)
    return found.returncode, found.stderr


async def test_a_reload_takes_what_credentials_say_by_then_and_what_cannot_be_had_changes_nothing(
    tmp_path: Path,
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "jwt").write_text(f"{FIRST}\n")
    async with raw_agent(answering(OK)) as agent:
        config = write_config(tmp_path, agent.url, server="workers = 2")
        text = config.read_text().replace('secret = { env = "SECRET" }', 'secret = { credential = "jwt" }')
        config.write_text(text)
        environ = environment(CREDENTIALS_DIRECTORY=str(credentials))
        async with running_daemon(config, environ=environ) as daemon:
            assert await statuses(daemon, FIRST, SECOND) == [200, 401]
            (credentials / "jwt").write_text(SECOND)
            (credentials / "old").write_text(FIRST)
            older = 'secret = { credential = "jwt" }\nolder_secrets = { last = { credential = "old" } }'
            config.write_text(text.replace('secret = { credential = "jwt" }', older))
            assert await reloaded(daemon) == (0, "")
            assert await statuses(daemon, FIRST, SECOND, THIRD) == [200, 200, 401]  # nobody is refused meanwhile
            config.write_text(text)
            assert await reloaded(daemon) == (0, "")
            assert await statuses(daemon, FIRST, SECOND) == [401, 200]
            for spoil in (lambda: (credentials / "jwt").write_text("\n"), (credentials / "jwt").unlink):
                spoil()
                code, said = await reloaded(daemon)
                assert (code, "auth.secret: " in said, SECOND in said) == (1, True, False)
                assert await statuses(daemon, SECOND) == [200]
            assert "there is no credential jwt in" in said
            assert not any(secret in daemon.log for secret in (FIRST, SECOND))


def test_a_daemon_does_not_start_without_its_credential_and_says_how_to_mend_that(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace('secret = { env = "SECRET" }', 'secret = { credential = "jwt" }'))
    for environ, why in (
        (environment(), "there is no CREDENTIALS_DIRECTORY (systemd sets it: LoadCredential=jwt:PATH)"),
        (environment(CREDENTIALS_DIRECTORY=str(tmp_path)), f"there is no credential jwt in {tmp_path} (in the unit: "),
    ):
        found = gatewayd("start", "-c", config, environ=environ)
        assert (found.returncode, found.stdout) == (1, "")
        assert f"auth.secret: {why}" in found.stderr
