"""Sides by their texts, and steps that find their images on the device."""

import builders
import numpy as np
import pytest
import tensorflow as tf
from measuring.described import described
from measuring.workload import Workload

import keras_graft
from keras_graft import data
from keras_graft.data import augment
from keras_graft.data import order


def test_text_is_read_like_a_line_of_a_shell():
    side = described("XLA_FLAGS='--a --b=1' LATE= trainer --jit --seed=1")
    assert side.kind == "trainer"
    assert side.variables == {"XLA_FLAGS": "--a --b=1", "LATE": ""}
    assert side.flags == ("--jit", "--seed=1")
    assert side.root is None


@pytest.mark.parametrize(
    ("kind", "steps"), [("trainer", 1), ("resident", 1), ("fit", 3)]
)
def test_every_side_takes_steps_for_as_many_images(kind, steps):
    side = described(kind)
    assert side.count(Workload(3, "resnet8")) == steps
    assert side.steps(steps) == {"do": "steps", "count": steps}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fit --mutual_weight=0", "--steps_per_execution only"),
        ("fit jit", "--steps_per_execution only"),
        ("fit --precision=float16", "--precision=float32 or bfloat16"),
        ("pytorch --jit", "--compile, --channels_last"),
        ("XLA_FLAGS=--a", "trainer, resident, fit, pytorch"),
    ],
)
def test_text_that_describes_no_side_is_refused(text, words):
    with pytest.raises(ValueError, match=words) as error:
        described(text)
    assert text in str(error.value)


def test_resident_images_are_trained_on_as_augmented_ones():
    from measuring.keras_tools import resident_batches

    def trainer():
        made = keras_graft.GraftTrainer(builders.small_networks(2))
        made.compile(builders.sgd(), builders.crossentropy())
        # A whole batch of nothing, so that both are built and prepared.
        made.fit(x[:4], y[:4], verbose=0)
        return made

    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (8, 8, 8, 1), dtype="uint8")
    y = rng.integers(0, 4, 8, dtype="int32")
    splits = data.Splits(
        name="noise",
        train=data.Split(x, y),
        validation=None,
        test=data.Split(x, y),
        num_classes=4,
        pixel_mean=(120.0,),
        pixel_std=(60.0,),
    )

    class Settings:
        seed, batch_size = 5, 4

    resident, plain = trainer(), trainer()
    batches = resident_batches(resident, None, splits, Settings)
    step, rows = next(batches)
    resident.train_step((step, rows))
    views = {
        f"network_{k}": augment.pad_crop_flip(
            tf.constant(x[rows.numpy()]), order.seed_pair(5, 0, k)
        )
        for k in range(2)
    }
    assert (views["network_0"] != views["network_1"]).numpy().any()
    plain.train_step((views, tf.constant(y[rows.numpy()])))
    for a, b in zip(resident.networks, plain.networks, strict=True):
        for own, other in zip(a.get_weights(), b.get_weights(), strict=True):
            np.testing.assert_allclose(own, other, atol=1e-6)
    # And the function of a step takes such batches.
    assert np.isfinite(float(resident.train_function(batches)["loss"]))
