"""Numbers, intervals and durations as people read them, in reports and documentation."""

__all__ = ["duration", "interval", "number"]

import math
from collections.abc import Sequence


def number(value: float | None) -> str:
    """Three significant digits, without an exponent where that stays short."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e5:
        digits = max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:.{digits}f}".replace("-", "−")
    return f"{value:.2e}".replace("-", "−")


def interval(bounds: Sequence[float] | None) -> str:
    """ "low to high", or that there is none: too few seeds, or seeds that all give the same."""
    return "no interval" if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
