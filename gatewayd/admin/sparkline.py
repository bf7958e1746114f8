"""A row of numbers as a drawing of lines, in SVG's own words. Arithmetic only."""

from collections.abc import Sequence
from typing import Final

WIDTH: Final = 120
HEIGHT: Final = 28
_EDGE: Final = 2


def line(values: Sequence[float], points: int, top: float) -> str:
    """The `points` of a polyline over the last so many values, the newest at the right; `top` is the full height."""
    shown = values[-points:]
    step = WIDTH / max(1, points - 1)
    first = WIDTH - step * (len(shown) - 1)
    return " ".join(f"{first + step * place:.1f},{_height(value, top):.1f}" for place, value in enumerate(shown))


def area(values: Sequence[float], points: int, top: float) -> str:
    """The same, closed along the ground."""
    if not (drawn := line(values, points, top)):
        return ""
    first = drawn.partition(",")[0]
    return f"{first},{HEIGHT} {drawn} {WIDTH},{HEIGHT}"


def _height(value: float, top: float) -> float:
    return HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * min(1.0, value / top) if top > 0 else HEIGHT - _EDGE
