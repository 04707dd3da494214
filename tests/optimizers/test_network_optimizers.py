import keras
import pytest

from keras_graft.optimizers.coupled_sgd import CoupledSGD
from keras_graft.optimizers.network_optimizers import told_by_config

SGD = keras.optimizers.SGD
DECAY = keras.optimizers.schedules.CosineDecay


@keras.saving.register_keras_serializable(package="test_network_optimizers")
class OwnSchedule(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1

    def get_config(self):
        return {}


class OwnSGD(SGD):
    """May do anything."""


def dense(**arguments):
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, **arguments)]
    )


def told(*optimizers, networks=None):
    networks = networks or [dense() for _ in optimizers]
    for optimizer, network in zip(optimizers, networks, strict=True):
        optimizer.build(network.trainable_variables)
    return told_by_config(optimizers, networks)


def excluding(*names):
    optimizer = SGD(0.1, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=names)
    return optimizer


@pytest.mark.parametrize(
    "pair",
    [
        lambda: (SGD(0.1, momentum=0.9), SGD(0.2, momentum=0.9)),
        lambda: (CoupledSGD(0.1), CoupledSGD(0.2)),
        lambda: (keras.optimizers.Adam(), keras.optimizers.Adam()),
        lambda: (SGD(DECAY(0.1, 9)), SGD(DECAY(0.1, 9))),
    ],
)
def test_optimizers_of_one_config_make_one_update(pair):
    assert told(*pair())


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(lambda: (SGD(), CoupledSGD()), id="class"),
        pytest.param(
            lambda: (SGD(momentum=0.9), SGD(momentum=0.8)), id="config"
        ),
        pytest.param(
            lambda: (SGD(DECAY(0.1, 9)), SGD(DECAY(0.1, 8))), id="schedule"
        ),
        pytest.param(
            lambda: (SGD(OwnSchedule()), SGD(OwnSchedule())),
            id="schedule of one's own",
        ),
        pytest.param(lambda: (OwnSGD(), OwnSGD()), id="class of one's own"),
        pytest.param(
            lambda: (excluding("bias"), excluding("kernel")), id="excluded"
        ),
        pytest.param(
            lambda: tuple(
                keras.optimizers.LossScaleOptimizer(SGD()) for _ in range(2)
            ),
            id="loss scale",
        ),
    ],
)
def test_optimizers_that_may_differ_are_not_told_by_their_config(pair):
    assert not told(*pair())


def test_variables_count():
    constrained = [dense(kernel_constraint="non_neg") for _ in range(2)]
    assert not told(SGD(), SGD(), networks=constrained)
    frozen = dense()
    built_before = SGD(momentum=0.9)
    built_before.build(frozen.trainable_variables)
    other = dense()
    other.layers[0].bias.trainable = False
    built_after = SGD(momentum=0.9)
    built_after.build(other.trainable_variables)
    assert not told_by_config([built_before, built_after], [frozen, other])
