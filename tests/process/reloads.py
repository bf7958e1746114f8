"""A daemon that is reloaded: its configuration said anew, the command's answer, and what callers had meanwhile."""

import asyncio
import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from gatewayd.clock import SystemClock
from gatewayd.config.loading import parse
from gatewayd.identity.signing import sign_token
from tests.daemons import RunningDaemon, gatewayd
from tests.gateways import CONFIG, PLANS, ROUTE, SECRET

Reloaded = CompletedProcess[str]


def says(
    directory: Path, *routes: str, server: str = "", general: str = PLANS, listen: str = "127.0.0.1:0", more: str = ""
) -> Path:
    """The daemon's configuration, from now on."""
    directory.mkdir(exist_ok=True)
    text = CONFIG.format(state=directory, server=server, general=general) + "".join(routes) + more
    config = directory / "gatewayd.toml"
    config.write_text(
        text.replace('listen = ["127.0.0.1:0"]', f"listen = [{listen if ',' in listen else json.dumps(listen)}]")
    )
    return config


def route(name: str, upstream: str, more: str = "") -> str:
    """One more of them, at /NAME."""
    return f'[routes.{name}]\nprefix = "/{name}"\nupstream = "{upstream}"\n{more}\n'


def email(upstream: str) -> str:
    return ROUTE.format(upstream=upstream)


def bearer(user: str = "ann") -> dict[str, str]:
    """A token that is good whatever the configuration's file says meanwhile, unless its keys change."""
    auth = parse(CONFIG.format(state="/nowhere", server="", general=""), "test.toml", {"SECRET": SECRET}).settings.auth
    return {"Authorization": f"Bearer {sign_token(auth, SystemClock(), user)}"}


async def reload(daemon: RunningDaemon) -> Reloaded:
    """`gatewayd reload`, whatever comes of it."""
    return await asyncio.to_thread(gatewayd, "reload", "-c", daemon.config)


async def reloaded(daemon: RunningDaemon) -> str:
    """What it printed; it was adopted."""
    found = await reload(daemon)
    assert found.returncode == 0, found.stderr
    return found.stdout


async def refused(daemon: RunningDaemon) -> str:
    """What it printed; it was refused."""
    found = await reload(daemon)
    assert (found.returncode, found.stdout) == (1, ""), found
    assert "Traceback" not in (said := found.stderr + daemon.log), said
    return found.stderr


async def status_of(daemon: RunningDaemon) -> dict[str, Any]:
    found = await asyncio.to_thread(gatewayd, "status", "--json", "-c", daemon.config)
    assert found.returncode == 0, found.stderr
    document: dict[str, Any] = json.loads(found.stdout)
    return document
