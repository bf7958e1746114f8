"""How many files this process may have open: every connection is one."""

import logging
import resource
from typing import Final

logger = logging.getLogger(__name__)

_OTHERS: Final = 64  # stores, logs, sockets that listen


def allow_connections(most: int) -> None:
    """Raise the soft limit until `most` callers fit, with a connection to an agent for each, as far as that may be.

    Logs a warning if there is not even one for each caller.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * most + _OTHERS
    if not _suffices(soft, wanted):
        soft = wanted if _suffices(hard, wanted) else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if not _suffices(soft, most):
        logger.warning(
            "only %d files may be open, fewer than server.max_connections: raise LimitNOFILE or ulimit -Hn", soft
        )


def _suffices(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
