"""Where a daemon is in its life: what its supervisor, its reloads and its upgrades agree on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatewayd.config.settings import Settings


@dataclass(slots=True)
class Course:
    """Mutable: it is the one place where each of them says what has become true."""

    settings: Settings
    """In force."""
    image: int = 1
    """How many programs this process has been."""
    generation: int = 1
    state: str = "starting"
    stops: int = 0
    """How often it was told to stop."""
    listening: Sequence[str] = ()
    reloaded: bool = True
    """Whether the last reload was adopted."""
    last_reload: Mapping[str, Any] | None = None
    upgrade_failure: str = ""
