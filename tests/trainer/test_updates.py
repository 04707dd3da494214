import keras
import numpy as np
import pytest
from builders import make_trainer
from builders import small_network
from builders import small_networks

SGD = keras.optimizers.SGD


def trained(images, networks, optimizers):
    trainer = make_trainer(networks, None, optimizer=optimizers, metrics=None)
    trainer.fit(*images, batch_size=32, epochs=2, shuffle=False, verbose=0)
    return [
        [np.array(v) for v in [*network.weights, *optimizer.variables]]
        for network, optimizer in zip(networks, optimizers, strict=True)
    ]


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(
            lambda: [SGD(0.1), SGD(0.01)], id="rates", marks=pytest.mark.slow
        ),
        pytest.param(
            lambda: [SGD(0.1, momentum=0.9), SGD(0.1, momentum=0.5)],
            id="momentum",
        ),
        pytest.param(
            lambda: [keras.optimizers.Adam(0.1), SGD(0.1)], id="classes"
        ),
        pytest.param(
            lambda: [keras.optimizers.Lion(r) for r in (0.1, 0.01)], id="lion"
        ),
        pytest.param(
            lambda: [
                SGD(0.1, gradient_accumulation_steps=2, use_ema=True)
                for _ in range(2)
            ],
            id="branches",
        ),
    ],
)
def test_each_network_is_updated_by_its_own_optimizer(images, pair):
    both = trained(images, small_networks(2), pair())
    for k in range(2):
        alone = trained(images, [small_network(k)], [pair()[k]])[0]
        for one, other in zip(both[k], alone, strict=True):
            np.testing.assert_array_equal(one, other)
