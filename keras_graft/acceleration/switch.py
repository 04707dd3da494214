"""Whether training is accelerated: what was asked for, and what is known."""

import dataclasses
import functools
import logging
import warnings
from typing import Literal

import keras
import tensorflow as tf

_LOG = logging.getLogger(__name__)

# The versions that the tests of this folder were run with.
TESTED = {"keras": "3.15", "tensorflow": "2.21"}
NO_RECOMPUTE = "no_recompute"

Accelerate = bool | Literal["no_recompute"]


@dataclasses.dataclass(frozen=True)
class Acceleration:
    """What makes a step faster.

    Attributes:
        on: Whether layers are fused and networks share functions.
        recompute: Whether shared functions compute activations again in the
            backward pass, instead of keeping them for it.
    """

    on: bool
    recompute: bool


def accelerate_from(
    accelerate: Accelerate,
    fused_batch_norm: bool | None,
    recompute: bool | None,
) -> Accelerate:
    """`accelerate`, or what the two arguments that it replaces mean.

    Args:
        accelerate: As for `GraftTrainer`.
        fused_batch_norm: Deprecated, None where it is not given.
        recompute: Likewise.

    Raises:
        ValueError: If these are no booleans, or contradict each other.
    """
    given = {"fused_batch_norm": fused_batch_norm, "recompute": recompute}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return accelerate
    found = combined(**given)
    # True, the default, is what it is if nobody gave it.
    if accelerate is not True:
        _refuse_contradictions(accelerate, given)
        found = accelerate
    warnings.warn(
        f"{' and '.join(map(repr, given))} of GraftTrainer will go with 0.3: "
        f"give accelerate={found!r}.",
        DeprecationWarning,
        stacklevel=3,
    )
    return found


def _refuse_contradictions(accelerate, given):
    _check(accelerate)
    meant = {
        "fused_batch_norm": accelerate is not False,
        "recompute": False,
    }
    for name, value in given.items():
        if value is not meant[name]:
            raise ValueError(
                f"`accelerate={accelerate!r}` and `{name}={value!r}` "
                f"contradict each other. Leave `{name}` out: `accelerate` has "
                "taken its place."
            )


def combined(
    fused_batch_norm: bool = True, recompute: bool = True
) -> Accelerate:
    """`accelerate` for the two arguments that it replaces.

    Raises:
        ValueError: If they are no booleans.
    """
    given = {"fused_batch_norm": fused_batch_norm, "recompute": recompute}
    for name, value in given.items():
        if not isinstance(value, bool):
            raise ValueError(
                f"`{name}` must be True or False, and `accelerate` has taken "
                f"its place. Received: {value!r}"
            )
    if not fused_batch_norm:
        return False
    return True if recompute else NO_RECOMPUTE


def resolve_acceleration(accelerate: Accelerate) -> Acceleration:
    """What `GraftTrainer(accelerate=...)` means with these versions.

    Args:
        accelerate: True, False or `"no_recompute"`.

    Returns:
        All off, with a warning, on a Keras or TensorFlow of another minor
        version than the tests were run with.

    Raises:
        ValueError: If it is none of these.
    """
    _check(accelerate)
    found = {"keras": keras.__version__, "tensorflow": tf.__version__}
    on = bool(accelerate) and _is_tested(**found)
    return Acceleration(on, on and accelerate != NO_RECOMPUTE)


def _check(accelerate):
    if not isinstance(accelerate, bool) and accelerate != NO_RECOMPUTE:
        raise ValueError(
            "`accelerate` must be True, False or "
            f"{NO_RECOMPUTE!r}. Received: {accelerate!r}"
        )


# Once for a pair of versions: a process may make many trainers.
@functools.cache
def _is_tested(**found):
    others = [
        f"{name} {version}"
        for name, version in found.items()
        if not f"{version}.".startswith(f"{TESTED[name]}.")
    ]
    if others:
        _LOG.warning(
            "Training is not accelerated: that was not tested with %s, only "
            "with %s. The numbers are the same, up to rounding.",
            " and ".join(others),
            " and ".join(f"{n} {v}" for n, v in TESTED.items()),
        )
    return not others
