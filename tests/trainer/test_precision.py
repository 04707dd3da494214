"""Networks under a mixed policy whose output has a short type."""

import keras
import numpy as np
import pytest
from builders import make_trainer
from builders import sgd

import keras_graft


def with_all_that_is_replaced(seed):
    """A network of the layers that a step computes in its own way."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.ZeroPadding2D(1)(inputs)
    x = keras.layers.Conv2D(6, 3, strides=2)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(4)(x))


@pytest.mark.parametrize(
    "policy", ["mixed_bfloat16", "mixed_float16"], indirect=True
)
@pytest.mark.parametrize("count", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_it_is_trained_evaluated_predicts_and_is_saved(
    images, tmp_path, policy, count
):
    trainer = make_trainer(
        [with_all_that_is_replaced(k) for k in range(count)],
        optimizer=sgd(0.05),
    )
    history = trainer.fit(
        *images,
        batch_size=16,
        epochs=2,
        shuffle=False,
        validation_data=images,
        callbacks=[keras_graft.GraftCallback()],
        verbose=0,
    ).history
    assert history["loss"][-1] < history["loss"][0]
    evaluated = trainer.evaluate(*images, verbose=0, return_dict=True)
    assert evaluated["loss"] == pytest.approx(history["val_loss"][-1], 1e-3)
    predicted = trainer.predict(images[0], verbose=0)
    # The mean probabilities of all networks.
    expected = [n.predict(images[0], verbose=0) for n in trainer.networks]
    assert expected[0].dtype == policy.removeprefix("mixed_")
    expected = np.mean([softmax(logits) for logits in expected], axis=0)
    assert predicted.dtype == "float32"
    np.testing.assert_allclose(predicted, expected, atol=0.02)
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.saving.load_model(tmp_path / "trainer.keras")
    np.testing.assert_array_equal(
        loaded.predict(images[0], verbose=0), predicted
    )


def softmax(logits):
    powers = np.exp(logits.astype("float32"))
    return powers / powers.sum(axis=-1, keepdims=True)
