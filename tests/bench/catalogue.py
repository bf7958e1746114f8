"""Every bench there is. A new one is a module that declares it, and a line here."""

from tests.bench.declare import Bench, Ratio
from tests.bench.money import counting, crowds, durable, hot_path, refusals, shipping

_MODULES = (hot_path, shipping, durable, counting, crowds, refusals)

BENCHES: tuple[Bench, ...] = tuple(bench for module in _MODULES for bench in module.BENCHES)
RATIOS: tuple[Ratio, ...] = (*counting.RATIOS, *crowds.RATIOS)
