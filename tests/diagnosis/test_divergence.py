import itertools

import keras
import numpy as np
import pytest

from keras_graft.diagnosis.divergence import DivergenceMonitor
from keras_graft.diagnosis.divergence import prediction_divergence


class Networks(keras.Model):
    def __init__(self, networks):
        super().__init__()
        self.networks = networks


def by_hand(probabilities):
    pairs = itertools.permutations(np.asarray(probabilities, "float64"), 2)
    return np.mean([(p * np.log(p / q)).sum(-1).mean() for p, q in pairs])


@pytest.mark.parametrize("num_networks", [2, 3, 5])
def test_divergence_is_the_mean_over_ordered_pairs(num_networks):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), (num_networks, 7))
    found = prediction_divergence(probabilities)
    assert found == pytest.approx(by_hand(probabilities), rel=1e-9)


def test_equal_networks_and_a_single_one_do_not_diverge():
    rng = np.random.default_rng(0)
    one = rng.dirichlet(np.ones(4), 7)
    assert prediction_divergence([one] * 3) == pytest.approx(0.0, abs=1e-12)
    assert prediction_divergence([one]) == 0.0


def test_certain_and_wrong_is_far_but_finite():
    certain = np.eye(3)
    found = prediction_divergence([certain, certain[::-1]])
    assert 1.0 < found < 20.0


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_monitor_logs_the_divergence_of_all_images(activation):
    networks = [
        keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(
                    4, activation=activation, kernel_initializer=initializer
                ),
            ]
        )
        for initializer in map(keras.initializers.GlorotUniform, range(3))
    ]
    images = np.random.default_rng(0).normal(size=(10, 6)).astype("float32")
    monitor = DivergenceMonitor(
        images, from_logits=activation is None, batch_size=4
    )
    monitor.set_model(Networks(networks))
    monitor.on_train_begin()
    logs = {}
    monitor.on_epoch_end(0, logs)
    outputs = [keras.ops.convert_to_numpy(n(images)) for n in networks]
    if activation is None:
        exps = [np.exp(output) for output in outputs]
        outputs = [e / e.sum(-1, keepdims=True) for e in exps]
    assert logs["divergence"] == pytest.approx(by_hand(outputs), rel=1e-4)

    before = logs["divergence"]
    networks[0].set_weights(networks[1].get_weights())
    monitor.on_epoch_end(1, logs)
    assert logs["divergence"] < before
