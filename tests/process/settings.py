"""Settings of a daemon that is not started."""

from pathlib import Path

from gatewayd.config.loading import parse
from gatewayd.config.settings import Settings
from tests.gateways import CONFIG, SECRET


def settings(server: str = "", state: Path = Path("/nowhere")) -> Settings:
    """With one route, `a`."""
    text = CONFIG.format(state=state, server=server, general="")
    text += '[routes.a]\nprefix = "/a"\nupstream = "http://127.0.0.1:9"\n'
    return parse(text, "test.toml", {"SECRET": SECRET}).settings
