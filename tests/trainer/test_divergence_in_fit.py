"""A network that diverges harms no other (promise 2)."""

import keras
import numpy as np
from builders import make_trainer
from builders import small_networks
from comparisons import assert_same
from comparisons import weights_of


def poison(network):
    network.get_layer("conv").kernel.assign(
        np.full(network.get_layer("conv").kernel.shape, np.nan)
    )


def test_diverged_network_is_masked_and_the_others_do_not_notice(images):
    x, y = images
    ends = []
    for diverged in (True, False):
        trainer = make_trainer(small_networks(3))
        if diverged:
            poison(trainer.networks[1])
        else:
            trainer.status[1] = "retired"
        state = weights_of(trainer.networks[1])
        history = trainer.fit(
            x, y, batch_size=16, shuffle=False, epochs=2, verbose=0
        ).history
        # Without a graft nothing can heal it.
        assert trainer.status == ["live", "retired", "live"]
        assert np.isfinite(history["loss"]).all()
        assert np.isnan(history["network_1_loss"]).all()
        assert np.isfinite(trainer.predict(x, verbose=0)).all()
        assert_same(state, weights_of(trainer.networks[1]))
        slots = trainer.optimizer.optimizers[1]
        assert int(slots.iterations) == 0
        ends.append([weights_of(trainer.networks[k]) for k in (0, 2)])
    for a, b in zip(*ends, strict=True):
        assert_same(a, b)


def test_infinite_gradient_skips_that_networks_update_only(images):
    x, y = images

    def build(seed):
        # sqrt has an infinite gradient at 0, and a finite value.
        inputs = keras.Input((8, 8, 1))
        z = keras.layers.GlobalAveragePooling2D()(inputs)
        z = keras.layers.Dense(
            4, kernel_initializer="zeros" if seed == 1 else "glorot_uniform"
        )(z)
        if seed == 1:
            z = keras.ops.sqrt(keras.ops.abs(z))
        return keras.Model(inputs, z)

    trainer = make_trainer([build(0), build(1)], distillation=None)
    before = [weights_of(network) for network in trainer.networks]
    trainer.fit(x, y, batch_size=64, verbose=0)
    assert not np.array_equal(before[0][0], weights_of(trainer.networks[0])[0])
    assert_same(before[1], weights_of(trainer.networks[1]))
    assert [int(o.iterations) for o in trainer.optimizer.optimizers] == [1, 0]
