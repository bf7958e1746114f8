"""What a policy is: a middleware, and how its rule is read from the settings.

A policy calls the handler once, never reads the body, and writes only its own fields of the Exchange.
"""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp.typedefs import Handler, Middleware

from gatewayd.config.settings import RouteSettings, Settings

__all__ = ["Handler", "Middleware", "Policy", "no_rule"]


def no_rule(_settings: Settings, _route: RouteSettings | None) -> object | None:
    """For a policy that holds for every route alike."""
    return None


@dataclass(frozen=True, slots=True)
class Policy:
    """`rule` makes the policy's rule for a route (None: for paths that no route claims), or None for no rule."""

    name: str
    middleware: Middleware
    rule: Callable[[Settings, RouteSettings | None], object | None] = no_rule
