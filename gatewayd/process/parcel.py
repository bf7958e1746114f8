"""Settings on their way to a child: what the supervisor made of the texts, once, the same for everybody."""

import os
import pickle

from gatewayd.config.settings import Settings


def settings_file(settings: Settings) -> int:
    """A file in memory, which has no name and is gone with its last descriptor: there are secrets in it."""
    fd = os.memfd_create("gatewayd-settings", os.MFD_CLOEXEC)
    data = pickle.dumps(settings, pickle.HIGHEST_PROTOCOL)
    while data:
        data = data[os.write(fd, data) :]
    return fd


def read_settings(fd: int) -> Settings:
    """What the supervisor put there; several may read at once. From nobody else, as it is code in a way."""
    settings = pickle.loads(os.pread(fd, os.fstat(fd).st_size, 0))  # noqa: S301
    assert isinstance(settings, Settings)
    return settings
