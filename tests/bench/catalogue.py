"""Every bench there is. A new one is a module that declares it, and a line here."""

from tests.bench.calm import reloading, sharing, succeeding
from tests.bench.declare import Bench, Ratio
from tests.bench.identity import providing, revoking, verifying
from tests.bench.money import counting, crowds, durable, hot_path, plans, refusals, shipping
from tests.bench.page import looking
from tests.bench.plane import crowds as crowds_outside
from tests.bench.plane import streams, throughput
from tests.bench.sdk import calls, importing
from tests.bench.signals import reporting, scraping

_MODULES = (
    throughput,
    streams,
    crowds_outside,
    hot_path,
    shipping,
    durable,
    plans,
    counting,
    crowds,
    refusals,
    verifying,
    providing,
    revoking,
    calls,
    importing,
    looking,
    reporting,
    scraping,
    reloading,
    succeeding,
    sharing,
)

BENCHES: tuple[Bench, ...] = tuple(bench for module in _MODULES for bench in module.BENCHES)
RATIOS: tuple[Ratio, ...] = tuple(
    ratio
    for module in (throughput, streams, crowds_outside, counting, crowds, calls, sharing)
    for ratio in module.RATIOS
)
