"""What the client says of itself: the logger `gatewayd_sdk`, silent unless GATEWAYD_LOG or the program asks for it.

Never in it: tokens, queries, header values, bodies.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Final

from gatewayd_sdk._core.errors import ConfigurationError

logger: Final = logging.getLogger("gatewayd_sdk")
logger.addHandler(logging.NullHandler())
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_NAME: Final = "gatewayd_sdk.stderr"


def set_up_log(environ: Mapping[str, str]) -> None:
    """Lets GATEWAYD_LOG choose what is written to stderr: repeats at `info`, each attempt at `debug`."""
    word = environ.get("GATEWAYD_LOG", "").strip().lower()
    if not word or word == "off":
        return
    if word not in _LEVELS:
        raise ConfigurationError(f"GATEWAYD_LOG must be one of {', '.join(_LEVELS)} and off")
    logger.setLevel(_LEVELS[word])
    if not any(handler.get_name() == _NAME for handler in logger.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.set_name(_NAME)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
