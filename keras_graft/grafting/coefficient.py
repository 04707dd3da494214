"""How much of its own weights a layer keeps."""

import math

from keras_graft.checks.numbers import is_number


def graft_coefficient(
    own: float, peer: float, amplitude: float = 0.4, slope: float = 10.0
) -> float:
    """Share of its own weights that a layer keeps in a graft.

    `amplitude / pi * arctan(slope * (own - peer)) + 0.5` (arXiv 2004.12311,
    equation for the adaptive weight; the paper's text leaves out `1 / pi`,
    its figure and its code have it).

    Args:
        own: Information of the receiving layer, such as its entropy in nats.
        peer: Information of the layer that gives, same unit.
        amplitude: In [0, 1]. 0 is plain averaging. Defaults to 0.4.
        slope: How fast the coefficient leaves 0.5 as the difference grows,
            in 1 / unit of `own`; at least 0. Defaults to 10.

    Returns:
        Float within [0.5 - amplitude / 2, 0.5 + amplitude / 2]; 0.5 where the
        information of either side is not a finite number.

    Raises:
        ValueError: If `amplitude` or `slope` is out of range.
    """
    check_amplitude(amplitude)
    check_slope(slope)
    difference = float(own) - float(peer)
    if not math.isfinite(difference):
        return 0.5
    return amplitude / math.pi * math.atan(slope * difference) + 0.5


def check_amplitude(amplitude: float) -> None:
    """Raises a ValueError unless `amplitude` is in [0, 1]."""
    if not (is_number(amplitude) and 0.0 <= amplitude <= 1.0):
        raise ValueError(
            "`amplitude` must be in [0, 1]: beyond it a layer would keep "
            f"less than nothing or more than all. Received: {amplitude!r}"
        )


def check_slope(slope: float) -> None:
    """Raises a ValueError unless `slope` is finite and at least 0."""
    if not (is_number(slope) and slope >= 0.0):
        raise ValueError(
            "`slope` must be a finite number, at least 0 (the paper's code "
            f"uses 10). Received: {slope!r}"
        )
