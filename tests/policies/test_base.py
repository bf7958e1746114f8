"""What a policy is, before it is any policy in particular."""

from aiohttp import web

from gatewayd.errors import RoleDenied
from gatewayd.policies.base import Case, Finding, Handler, Policy, refused
from gatewayd.routing import Route
from tests.policies.rings import EMAIL, settings_of


@web.middleware
async def nothing(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await handler(request)


def test_a_policy_needs_no_rule_and_no_words_of_its_own() -> None:
    policy = Policy("nothing", nothing)
    settings = settings_of(EMAIL)
    assert policy.rule(settings, settings.routes["email"]) is None
    assert policy.rule(settings, None) is None
    assert policy.explain(Case("GET", Route("email", "/api/email"), None, None, None)) is None


def test_a_finding_says_the_refusal_and_why() -> None:
    assert refused(RoleDenied()) == Finding("403 role_denied", "The token's roles do not allow this.")
    assert refused(RoleDenied(), "because") == Finding("403 role_denied", "because")
    assert not refused(RoleDenied()).passes
    assert Finding("pass", "").passes
