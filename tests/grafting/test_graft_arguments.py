"""Arguments of `GraftCallback`, and its config."""

import math

import keras
import pytest

import keras_graft
from keras_graft.grafting import GraftCallback


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"source": "outside"}, "`source` must be one of 'external', 'int"),
        ({"criterion": "norm"}, "`criterion` must be one of.*'norm'"),
        ({"blend": "all"}, "`blend` must be one of 'kernels', 'block'"),
        ({"amplitude": 1.5}, r"`amplitude` must be in \[0, 1\].*1.5"),
        ({"slope": -1}, "`slope` must be a finite number.*-1"),
        ({"num_bins": 1}, "`num_bins` must be a whole number from 2"),
        ({"num_bins": 7.5}, "`num_bins` must be a whole number.*7.5"),
        ({"every": 0}, "`every` must be a whole number, at least 1.*0"),
        ({"every": 1.5}, "`every` must be a whole number.*1.5"),
        ({"start": -1}, "`start` must be a whole number, at least 0.*-1"),
        ({"start": math.nan}, "`start` must be a whole number"),
        ({"start": 3, "stop": 3}, "`stop` must be.*above `start`, or None"),
        (
            {"source": "noise", "threshold": 0.0},
            "`threshold` must be above 0. Received: 0.0",
        ),
        ({"source": "noise", "threshold": math.nan}, "`threshold` must be"),
        ({"source": "noise", "decay": 1.1}, r"`decay` must be in \(0, 1\]"),
        ({"source": "noise", "decay": 0.0}, r"`decay` must be in \(0, 1\]"),
        ({"half_life": 0}, "`half_life` must be a number of epochs above 0"),
        ({"half_life": [(1, 2.0)]}, "`half_life` must be.*epoch 0"),
        ({"half_life": [(0, 2.0), (0, 1.0)]}, "`half_life` must be.*rise"),
        ({"half_life": 1, "every_steps": 0}, "`every_steps` must be a whole"),
        ({"half_life": 1, "target": "all"}, "`target` must be one of 'peer'"),
        ({"half_life": 1, "follow_rate": 1}, "`follow_rate` must be a bool"),
        ({"source": "exchange", "share": 1.0}, r"`share` must be in \(0, 1\)"),
        ({"source": "exchange", "seed": -1}, "`seed` must be a whole number"),
        ({"half_life": 1, "criterion": "gamma"}, "a pull weighs layers"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GraftCallback(**arguments)


@pytest.mark.parametrize(
    "arguments, name",
    [
        ({"threshold": 0.2}, "threshold"),
        ({"decay": 0.9}, "decay"),
        ({"source": "internal", "decay": 0.9}, "decay"),
        ({"source": "internal", "amplitude": 0.0}, "amplitude"),
        ({"source": "internal", "slope": 500.0}, "slope"),
        ({"source": "noise", "criterion": "l1"}, "criterion"),
        ({"source": "noise", "num_bins": 20}, "num_bins"),
        ({"source": "noise", "blend": "kernels"}, "blend"),
        ({"criterion": "l1", "num_bins": 20}, "num_bins"),
        ({"target": "mean"}, "target"),
        ({"follow_rate": True}, "follow_rate"),
        ({"every_steps": 5}, "every_steps"),
        ({"share": 0.1}, "share"),
        ({"source": "noise", "half_life": 1.0}, "half_life"),
        ({"half_life": 1.0, "every": 2}, "every"),
        ({"source": "exchange", "every": 2}, "every"),
        ({"half_life": 1.0, "target": "mean", "slope": 1.0}, "slope"),
    ],
)
def test_an_argument_without_a_meaning_is_refused(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}` has (no|a) meaning with"):
        GraftCallback(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"criterion": "l1", "amplitude": 0.2, "slope": 0.5, "every": 2},
        {"source": "internal", "threshold": 0.5, "start": 0},
        {"source": "noise", "decay": 0.9, "start": 3, "stop": 9},
        {"blend": "kernels", "num_bins": 20},
        {"half_life": 2.0, "target": "mean", "follow_rate": True},
        {"half_life": [[0, 20.0], [300, 1.0]], "every_steps": 5},
        {"source": "exchange", "share": 0.001, "seed": 3},
    ],
)
def test_config_round_trip(arguments):
    callback = GraftCallback(**arguments)
    config = callback.get_config()
    assert arguments.items() <= config.items()
    again = GraftCallback.from_config(config)
    assert again.get_config() == config
    loaded = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(callback)
    )
    assert type(loaded) is GraftCallback
    assert loaded.get_config() == config


def test_the_callback_is_public():
    assert keras_graft.GraftCallback is GraftCallback
