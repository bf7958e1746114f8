"""What one value alone cannot tell: keys that must agree, names that must differ, files that must be there."""

from collections.abc import Callable
from typing import Final

from gatewayd.config.addresses import is_local
from gatewayd.config.certificate import check_agents_tls, check_tls
from gatewayd.config.document import KeyPath
from gatewayd.config.report import Report, key_name, suggestion
from gatewayd.config.settings import RouteSettings, Secret, Settings
from gatewayd.config.token_keys import check_token_keys
from gatewayd.keys import needs_secret

OWN_PATHS: Final = ("/health", "/ready", "/gateway")
"""Where the gateway answers itself; a route's prefix cannot be one of them nor lie below."""

SHORT: Final = 16
"""Characters that a token should have at least which people may try to guess."""


def check(settings: Settings, report: Report) -> None:
    """Report what does not fit together; values that already have a problem are left out."""
    for judge in _CHECKS:
        judge(settings, report)


def _admin(settings: Settings, report: Report) -> None:
    listen, token = ("admin", "listen"), ("admin", "token")
    known = settings.admin.token or settings.admin.tokens
    if report.sound(listen, token, ("admin", "tokens")) and not known and not is_local(settings.admin.listen):
        message = "is required where others can reach the admin listener"
        report.problem(token, message, 'token = { env = "GATEWAYD_ADMIN_TOKEN" }, and set the variable')
    taken = settings.admin.listen in settings.server.listen and settings.admin.listen.port != 0
    if taken and report.sound(listen, ("server", "listen")):
        report.problem(listen, "is an address of server.listen as well", "callers must not reach the admin pages")


def _admin_tokens(settings: Settings, report: Report) -> None:
    """A token says who came, so no two may be alike; and others may try to guess it."""
    given: dict[KeyPath, Secret] = {("admin", "tokens", name): token for name, token in settings.admin.tokens.items()}
    if settings.admin.token is not None:
        given = {("admin", "token"): settings.admin.token, **given}
    seen: dict[Secret, KeyPath] = {}
    for path, token in given.items():
        if (other := seen.setdefault(token, path)) != path:
            report.problem(path, f"is the same as {key_name(other)}", "openssl rand -base64 32 makes a good one")
        elif len(token.reveal()) < SHORT:
            report.warning(path, f"is shorter than {SHORT} characters", "openssl rand -base64 32 makes a good one")


def _plans(settings: Settings, report: Report) -> None:
    defaults = [name for name, plan in settings.plans.items() if plan.default]
    for name in defaults[1:]:
        report.problem(("plans", name, "default"), f'"{defaults[0]}" is the default plan already', "keep one")


def _routes(settings: Settings, report: Report) -> None:
    if not settings.routes and report.sound(("routes",)):
        report.warning(("routes",), "there are none, so every request gets 404", "gatewayd init shows some")
    prefixes: dict[str, str] = {}
    for name, route in settings.routes.items():
        if report.sound(("routes", name, "prefix")):
            _prefix(route, prefixes.setdefault(route.prefix, name), report)
        _usage(route, settings, report)
        _service_token(route, settings, report)


def _prefix(route: RouteSettings, owner: str, report: Report) -> None:
    path: KeyPath = ("routes", route.name, "prefix")
    if owner != route.name:
        report.problem(path, f'is the prefix of the route "{owner}" as well')
    if own := [own for own in OWN_PATHS if route.prefix == own or route.prefix.startswith(f"{own}/")]:
        report.problem(path, f"collides with {own[0]}, which the gateway answers itself")


def _usage(route: RouteSettings, settings: Settings, report: Report) -> None:
    path: KeyPath = ("routes", route.name, "usage")
    if not report.sound(path):
        return
    if route.usage.max is not None and route.usage.max < route.usage.cost:
        report.problem((*path, "max"), f"is less than the cost, {route.usage.cost}")
    limited = {unit for plan in settings.plans.values() for unit in plan.quota or {}}
    if limited and route.usage.unit not in limited and report.sound(("plans",)):
        message = f'no plan names the unit "{route.usage.unit}", so it is recorded but not limited'
        report.warning((*path, "unit"), message, suggestion(route.usage.unit, limited))


def _service_token(route: RouteSettings, settings: Settings, report: Report) -> None:
    path: KeyPath = ("routes", route.name, "service_token")
    auth = settings.auth
    if not route.service_token or not report.sound(path, ("auth",)):
        return
    if auth.secret is None or not any(map(needs_secret, auth.algorithms)):
        report.problem(path, "needs auth.secret and an HS* algorithm in auth.algorithms to sign with")
    if auth.user_prefix:
        report.problem(path, "cannot be used with auth.user_prefix", "the user has a prefix already, or another's")


_CHECKS: Final[tuple[Callable[[Settings, Report], None], ...]] = (
    check_tls,
    check_agents_tls,
    _admin,
    _admin_tokens,
    check_token_keys,
    _plans,
    _routes,
)
