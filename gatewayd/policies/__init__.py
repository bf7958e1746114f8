"""The ring around every request: one room a policy, one line here. The order is the order of execution."""

from typing import Final

from gatewayd.policies import access_log, admission, auth, faults, quota, rate_limit
from gatewayd.policies.base import Policy

# Outermost first. faults and admission have no rule, so they hold for every route.
POLICIES: Final[tuple[Policy, ...]] = (
    access_log.POLICY,
    faults.POLICY,
    admission.POLICY,
    rate_limit.POLICY,
    quota.POLICY,
    auth.POLICY,
)
