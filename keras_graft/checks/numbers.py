"""What counts as a number where an argument has to be one."""

import math
import numbers
from typing import Any


def is_number(value: Any) -> bool:
    """Whether it is a finite real number: no text, no truth value."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def is_whole(value: Any, least: int) -> bool:
    """Whether it is a whole number (of an integer type), at least `least`."""
    return (
        isinstance(value, numbers.Integral)
        and not isinstance(value, bool)
        and value >= least
    )
