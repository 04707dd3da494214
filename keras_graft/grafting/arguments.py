"""The arguments of `GraftCallback`: ranges, meanings, and what they ask for."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

from keras_graft.checks.numbers import is_number
from keras_graft.checks.numbers import is_whole
from keras_graft.grafting.coefficient import check_amplitude
from keras_graft.grafting.coefficient import check_slope
from keras_graft.grafting.gentle_sources import ExchangeSource
from keras_graft.grafting.gentle_sources import MeanPull
from keras_graft.grafting.gentle_sources import PeerPull
from keras_graft.grafting.graft_plan import BLENDS
from keras_graft.grafting.sources import GammaSource
from keras_graft.grafting.sources import GraftSource
from keras_graft.grafting.sources import InternalSource
from keras_graft.grafting.sources import LayerSource
from keras_graft.grafting.sources import NoiseSource
from keras_graft.structure.kernel_measures import check_num_bins

SOURCES = ("external", "internal", "noise", "exchange")
CRITERIA = ("entropy", "l1", "gamma")
TARGETS = ("peer", "mean")

_WEIGHING = ("amplitude", "slope", "num_bins")


class _Meaning(NamedTuple):
    """Arguments that mean nothing beside others.

    Attributes:
        names: The arguments.
        holds: Whether they mean something, given a config.
        beside: The argument that takes the meaning.
        only: Beside what they have one.
    """

    names: tuple[str, ...]
    holds: Callable[[dict[str, Any]], bool]
    beside: str
    only: str


_MEANINGS = (
    _Meaning(
        ("criterion", *_WEIGHING),
        lambda config: config["source"] == "external",
        "source",
        "'external'",
    ),
    _Meaning(
        ("blend",),
        lambda config: config["source"] in ("external", "exchange"),
        "source",
        "'external' and 'exchange'",
    ),
    _Meaning(
        ("threshold",),
        lambda config: config["source"] in ("internal", "noise"),
        "source",
        "'internal' and 'noise'",
    ),
    _Meaning(
        ("decay",),
        lambda config: config["source"] == "noise",
        "source",
        "'noise'",
    ),
    _Meaning(
        ("share", "seed"),
        lambda config: config["source"] == "exchange",
        "source",
        "'exchange'",
    ),
    _Meaning(
        ("half_life",),
        lambda config: config["source"] == "external",
        "source",
        "'external'",
    ),
    _Meaning(
        ("amplitude", "slope"),
        lambda config: config["criterion"] in ("entropy", "l1"),
        "criterion",
        "'entropy' and 'l1'",
    ),
    _Meaning(
        ("num_bins",),
        lambda config: config["criterion"] == "entropy",
        "criterion",
        "'entropy'",
    ),
    _Meaning(
        ("target", "follow_rate"),
        lambda config: config["half_life"] is not None,
        "half_life",
        "a number",
    ),
    _Meaning(
        ("every_steps",),
        lambda config: _is_gentle(config),
        "half_life",
        "a number, or with source='exchange'",
    ),
    _Meaning(
        ("every",),
        lambda config: config["half_life"] is None,
        "half_life",
        "None: give `every_steps`",
    ),
    _Meaning(
        ("every",),
        lambda config: not _is_gentle(config),
        "source",
        "the others: give `every_steps`",
    ),
    _Meaning(
        ("criterion", *_WEIGHING),
        lambda config: config["target"] == "peer",
        "target",
        "'peer', since the mean weighs all networks alike",
    ),
)


def _is_gentle(config):
    """Whether grafts are small moves between steps."""
    return config["half_life"] is not None or config["source"] == "exchange"


def check_arguments(config: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Refuses what is out of range or means nothing.

    Args:
        config: The arguments by name.
        defaults: Their defaults.

    Raises:
        ValueError: Naming the argument.
    """
    for name, allowed in (
        ("source", SOURCES),
        ("criterion", CRITERIA),
        ("blend", BLENDS),
        ("target", TARGETS),
    ):
        if config[name] not in allowed:
            raise ValueError(
                f"`{name}` must be one of {', '.join(map(repr, allowed))}. "
                f"Received: {config[name]!r}"
            )
    check_amplitude(config["amplitude"])
    check_slope(config["slope"])
    check_num_bins(config["num_bins"])
    for name, fits, allowed in _ranges(config):
        if not fits:
            raise ValueError(
                f"`{name}` must be {allowed}. Received: {config[name]!r}"
            )
    _check_meanings(config, defaults)


def _ranges(config):
    threshold, decay = config["threshold"], config["decay"]
    start, stop, share = config["start"], config["stop"], config["share"]
    half_life = config["half_life"]
    count = "a whole number, at least {}".format
    return (
        ("threshold", is_number(threshold) and threshold > 0, "above 0"),
        ("decay", is_number(decay) and 0 < decay <= 1, "in (0, 1]"),
        ("every", is_whole(config["every"], 1), count(1)),
        ("start", is_whole(start, 0), count(0)),
        (
            "stop",
            stop is None or (is_whole(start, 0) and is_whole(stop, start + 1)),
            "a whole number above `start`, or None",
        ),
        ("strict", isinstance(config["strict"], bool), "a bool"),
        (
            "half_life",
            half_life is None
            or _is_half_life(half_life)
            or _is_course(half_life),
            "a number of epochs above 0, pairs (first epoch, half-life) that "
            "begin with epoch 0 and rise, or None",
        ),
        ("every_steps", is_whole(config["every_steps"], 1), count(1)),
        ("follow_rate", isinstance(config["follow_rate"], bool), "a bool"),
        ("share", is_number(share) and 0 < share < 1, "in (0, 1)"),
        ("seed", is_whole(config["seed"], 0), count(0)),
    )


def _is_half_life(value):
    return is_number(value) and value > 0


def _is_course(value):
    if not isinstance(value, (list, tuple)) or not value:
        return False
    if any(
        not isinstance(pair, (list, tuple))
        or len(pair) != 2
        or not is_whole(pair[0], 0)
        or not _is_half_life(pair[1])
        for pair in value
    ):
        return False
    epochs = [pair[0] for pair in value]
    return epochs[0] == 0 and all(
        one < other for one, other in zip(epochs, epochs[1:], strict=False)
    )


def _check_meanings(config, defaults):
    if config["half_life"] is not None and config["criterion"] == "gamma":
        raise ValueError(
            "criterion='gamma' has no meaning with `half_life`: a pull weighs "
            "layers, not filters. Take 'entropy' or 'l1'."
        )
    for meaning in _MEANINGS:
        if meaning.holds(config):
            continue
        for name in meaning.names:
            if config[name] != defaults[name]:
                raise ValueError(
                    f"`{name}` has no meaning with {meaning.beside}="
                    f"{config[meaning.beside]!r}, only with {meaning.only}. "
                    f"Leave it out. Received: {name}={config[name]!r}"
                )


def source_of(config: dict[str, Any]) -> GraftSource:
    """The source that arguments ask for."""
    if config["source"] == "internal":
        return InternalSource(config["threshold"])
    if config["source"] == "noise":
        return NoiseSource(config["threshold"], config["decay"])
    if config["source"] == "exchange":
        return ExchangeSource(
            config["blend"],
            config["every_steps"],
            config["share"],
            config["seed"],
        )
    if config["criterion"] == "gamma":
        return GammaSource(config["blend"])
    layers = LayerSource(
        config["blend"],
        config["criterion"],
        config["num_bins"],
        config["amplitude"],
        config["slope"],
    )
    pull = config["every_steps"], config["half_life"], config["follow_rate"]
    if config["half_life"] is None:
        return layers
    if config["target"] == "peer":
        return PeerPull(layers, *pull)
    return MeanPull(config["blend"], *pull)
