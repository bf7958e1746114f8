"""What the tried daemons are configured with: a route for each price, a plan for each quota and each rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SECRET: Final = "GATEWAYD_PROVE_SECRET"  # noqa: S105  # the names of variables
LEDGER: Final = "GATEWAYD_PROVE_LEDGER"
COUNTERS: Final = "GATEWAYD_PROVE_COUNTERS"
UNIT: Final = "units"
UNLIMITED: Final = "unlimited"
HIGHEST_COST: Final = 7

_TEXT: Final = f"""
[server]
listen = ["127.0.0.1:0"]
workers = {{workers}}
state_dir = "{{state}}"
drain_timeout = "5s"
[admin]
listen = "127.0.0.1:0"
[auth]
secret = {{{{ env = "{SECRET}" }}}}
[counters]
url = {{{{ env = "{COUNTERS}" }}}}
[ledger]
url = {{{{ env = "{LEDGER}" }}}}
[access_log]
file = ""
[rate_limit]
limits = []
unauthenticated = []
[plans.{UNLIMITED}]
default = true
"""


@dataclass(frozen=True, slots=True, order=True)
class Price:
    """What a call of one route costs; with a `maximum`, that many units are held until the agent has said how many."""

    cost: int
    maximum: int = 0

    @property
    def name(self) -> str:
        return f"cost-{self.cost}" + (f"-of-{self.maximum}" if self.maximum else "")

    @property
    def held(self) -> int:
        return max(self.cost, self.maximum)

    @classmethod
    def of(cls, target: str) -> "Price":
        """What a request for this target costs."""
        return _BY_NAME[target.split("/")[1]]

    def target(self, **query: object) -> str:
        """A request for this route; `query` tells the agent what to do."""
        words = "&".join(f"{name}={value}" for name, value in query.items())
        return f"/{self.name}/call" + (f"?{words}" if words else "")


_COSTS: Final = range(1, HIGHEST_COST + 1)
PRICES: Final = tuple(Price(cost, most) for cost in _COSTS for most in (0, *_COSTS) if not 0 < most < cost)
_BY_NAME: Final = {price.name: price for price in PRICES}


@dataclass(frozen=True, slots=True, order=True)
class Bought:
    """A plan: `quota` units a month (0: not limited), and as many calls as `rate` says (empty: not limited)."""

    quota: int = 0
    rate: str = ""

    @property
    def name(self) -> str:
        return f"{self.quota}-{self.rate.replace('/', '-').replace(' ', '-') or 'calm'}"

    @property
    def text(self) -> str:
        rate = f'rate_limit = ["{self.rate}"]\n' if self.rate else ""
        return f'[plans."{self.name}"]\nquota = {{ {UNIT} = {self.quota} }}\n{rate}'


def configuration(state: str, agent: str, workers: int, plans: Iterable[Bought]) -> str:
    """One daemon's, as TOML; its secrets and the addresses of its stores are in the environment."""
    routes = (_route(price, agent) for price in PRICES)
    return _TEXT.format(state=state, workers=workers) + "".join((*(plan.text for plan in sorted(set(plans))), *routes))


def _route(price: Price, agent: str) -> str:
    usage = f'unit = "{UNIT}", cost = {price.cost}' + (f", max = {price.maximum}" if price.maximum else "")
    place = f'prefix = "/{price.name}"\nupstream = "{agent}/{price.name}"'
    return f"[routes.{price.name}]\n{place}\nusage = {{ {usage} }}\n"
