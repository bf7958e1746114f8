"""Where a month's use will end if it goes on as it has so far. Whole units, rounded up: nobody is told too little."""

from dataclasses import dataclass
from typing import Final

from gatewayd.model import Balance, BillingPeriod

_TOO_EARLY: Final = 86_400  # seconds of a month that tell nothing yet


@dataclass(frozen=True, slots=True)
class Forecast:
    """`units` at the end of the period; `used_up_at` (UTC seconds) if the limit is met before it, 0 if it is not."""

    units: int
    used_up_at: float = 0.0


def forecast(balance: Balance, utc: float) -> Forecast | None:
    """None on the first day, of another month than the present one, and while nothing is spent."""
    period = BillingPeriod.named(balance.period)
    elapsed, whole = int(utc - period.starts_at), int(period.ends_at - period.starts_at)
    if not _TOO_EARLY <= elapsed < whole or not balance.spent:
        return None
    units = -(-balance.spent * whole // elapsed)
    meets = 0 < balance.limit < units
    return Forecast(units, period.starts_at + elapsed * balance.limit / balance.spent if meets else 0.0)
