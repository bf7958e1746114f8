"""explain: what would become of a request, policy by policy. Nothing is sent, counted or held."""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import click
import orjson
from yarl import URL

from gatewayd.clock import Clock, SystemClock
from gatewayd.commands.common import config_option, fail, load_settings, run
from gatewayd.commands.completing import methods, paths
from gatewayd.config.settings import RouteSettings, Settings
from gatewayd.endpoints import METHODS as OWN_METHODS
from gatewayd.endpoints import OWN
from gatewayd.errors import (
    IssuerUnavailable,
    MethodNotAllowed,
    Refusal,
    RouteUnknown,
    StartError,
    StoreError,
    TokenMissing,
    TokenRevoked,
    Unauthenticated,
)
from gatewayd.framing import Target, read_target
from gatewayd.identity.providers import KeptKeys
from gatewayd.identity.revocations import Revocations
from gatewayd.identity.tokens import TokenVerifier
from gatewayd.model import Balance, BillingPeriod, Directory, Identity
from gatewayd.policies import POLICIES
from gatewayd.policies.base import Case, Finding, refused
from gatewayd.proxy.upstream import target_below
from gatewayd.routing import Route, RouteTable
from gatewayd.stores.open import open_reader


@click.command(epilog="Example: gatewayd explain POST /api/email/process --token $TOKEN")
@config_option
@click.argument("method", shell_complete=methods)
@click.argument("path", shell_complete=paths)
@click.option("--token", help="The caller's token; without it, the caller is nobody.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def explain(config: Path, method: str, path: str, token: str | None, as_json: bool) -> None:
    """Show the route, each policy's decision and why, and the upstream URL; exit 1 if the request would be refused."""
    settings = load_settings(config)
    try:
        target = read_target(path, None)
        route = offline_routes(settings).resolve(target)
    except Refusal as refusal:
        _say(None, [("admission", refused(refusal))], [], as_json=as_json)
    try:
        case = run(_case(settings, SystemClock(), method.upper(), route, token))
    except (StartError, StoreError) as error:
        fail(error)
    findings = list(_findings(case, settings))
    upstreams = list(_upstreams(settings.routes[route.name], target)) if route.name else []
    _say(route, findings, upstreams, as_json=as_json)


def _say(
    route: Route | None, findings: Sequence[tuple[str, Finding]], upstreams: Sequence[str], *, as_json: bool
) -> NoReturn:
    """Exit 1 if the request would be refused."""
    passes = all(finding.passes for _, finding in findings)
    if as_json:
        decisions = [{"by": name, "decision": each.decision, "reason": each.reason} for name, each in findings]
        name = (route.name or (route.prefix if route.own else None)) if route is not None else None
        document = {"passes": passes, "route": name, "decisions": decisions, "upstream": upstreams}
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    else:
        click.echo(f"route: {_place(route) if route is not None else 'none'}")
        for name, finding in findings:
            click.echo(f"{name}: {finding.decision}: {finding.reason}")
        if upstreams:
            click.echo(f"upstream: {', '.join(upstreams)}")
    sys.exit(0 if passes else 1)


def offline_routes(settings: Settings) -> RouteTable:
    """The route table with the policies' rules and no way to an agent."""

    def route(of: RouteSettings | None) -> Route:
        rules = (policy.rule(settings, of) for policy in POLICIES)
        return Route.with_rules(of.name if of is not None else "", of.prefix if of is not None else "", rules)

    return RouteTable([route(each) for each in settings.routes.values()], OWN, unknown=route(None))


async def _case(settings: Settings, clock: Clock, method: str, route: Route, token: str | None) -> Case:
    identity, refusal = await _verify(settings, clock, token)
    if identity is None:
        return Case(method, route, None, refusal, None)
    directory, balances = _standing(settings, identity.user, clock)
    if Revocations(directory.revocations).refuses(identity):
        return Case(method, route, None, TokenRevoked(), None)
    plan = settings.plan_for(directory.plans.get(identity.user) or identity.plan)
    return Case(method, route, identity, None, plan, balances)


async def _verify(settings: Settings, clock: Clock, token: str | None) -> tuple[Identity | None, Refusal | None]:
    if token is None:
        return None, TokenMissing()
    kept = partial(KeptKeys, settings.server.state_dir)
    try:
        return await TokenVerifier(settings.auth, clock, published=kept).verify(token), None
    except (Unauthenticated, IssuerUnavailable) as refusal:
        return None, refusal


def _standing(settings: Settings, user: str, clock: Clock) -> tuple[Directory, dict[str, Balance]]:
    """What was decided, and the user's balances; nothing where no ledger can be read, before the first start say."""
    period = BillingPeriod.at(clock.utc()).name
    try:
        with open_reader(settings.ledger.url.reveal()) as ledger:
            return ledger.directory(), {each.unit: each for each in ledger.balances(user_id=user, period=period)}
    except StoreError as error:
        click.echo(f"note: taken as unused: {error}", err=True)
        return Directory(version=0, plans={}), {}


def _findings(case: Case, settings: Settings) -> Iterator[tuple[str, Finding]]:
    for policy in POLICIES:
        if (finding := policy.explain(case)) is not None:
            yield policy.name, finding
    yield "router", _router(case, settings)


def _router(case: Case, settings: Settings) -> Finding:
    if case.route.own:
        if case.method not in OWN_METHODS:
            return refused(MethodNotAllowed(OWN_METHODS), f"allowed are {', '.join(OWN_METHODS)}")
        return Finding("pass", "the gateway answers this itself")
    if not case.route.name:
        return refused(RouteUnknown())
    methods = settings.routes[case.route.name].methods
    if case.method not in methods:
        return refused(MethodNotAllowed(methods), f"allowed are {', '.join(methods)}")
    return Finding("pass", f"{case.method} is allowed")


def _place(route: Route) -> str:
    if route.own:
        return f"{route.prefix} (the gateway's own)"
    return f"{route.name} ({route.prefix})" if route.name else "none"


def _upstreams(route: RouteSettings, target: Target) -> Iterator[str]:
    suffix = target.path[len(route.prefix.rstrip("/")) :]
    for base in route.upstream:
        yield f"{URL(base).origin()}{target_below(URL(base), suffix, target.query)}"
