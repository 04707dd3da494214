"""What is not finite is in the logs, counted, and named in one line."""

import logging

import keras
import numpy as np
import pytest
from builders import crossentropy
from flat_networks import data
from flat_networks import fit
from flat_networks import flat_dense
from flat_networks import trainer_of

import keras_graft
from keras_graft.trainer.skipped_steps import CAUSES

# Validation.


@pytest.mark.parametrize(
    ("loss", "metric", "units"),
    [(crossentropy(), "accuracy", 3), ("mse", "mae", 1), ("mse", "mape", 1)],
)
def test_nan_in_validation_data_gives_the_logs_of_keras(loss, metric, units):
    x, y = data()
    x[3] = np.nan
    plain = flat_dense(0, units)
    plain.compile(loss=loss, metrics=[metric])
    right = plain.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    trainer = trainer_of([flat_dense(0, units)], loss=loss, metrics=[metric])
    came = trainer.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    assert np.isnan(right["loss"])
    for name in right:
        np.testing.assert_array_equal(came[name], right[name])
        np.testing.assert_array_equal(came[f"network_0_{name}"], right[name])


def test_nan_in_validation_data_reaches_every_mean():
    x, y = data()
    bad = x.copy()
    bad[3] = np.nan
    trainer = trainer_of([flat_dense(0), flat_dense(1)], distillation="mutual")
    logs = fit(trainer, x, y, validation_data=(bad, y))
    for name in ("loss", "distillation_loss", "network_0_loss"):
        assert np.isnan(logs[f"val_{name}"][0])
        assert np.isfinite(logs[name][0])
    # NaN is no class: it counts as the first one, as in Keras.
    found = np.argmax(np.nan_to_num(trainer.predict(bad, verbose=0)), axis=-1)
    np.testing.assert_allclose(
        logs["val_ensemble_accuracy"][0], np.mean(found == y), rtol=1e-6
    )


def test_a_diverged_network_leaves_the_means_to_the_others():
    x, y = data()
    ill = flat_dense(1)
    ill.layers[-1].kernel.assign(np.full((16, 3), np.nan))
    trainer = trainer_of([flat_dense(0), ill], distillation="mutual")
    logs = fit(trainer, x, y, validation_data=(x, y))
    assert trainer.status == ["live", "retired"]
    assert np.isnan(logs["val_network_1_loss"][0])
    for name in ("accuracy", "val_accuracy"):
        own = name.replace("accuracy", "network_{}_accuracy")
        assert np.isnan(logs[own.format(1)][0])
        assert logs[name][0] == logs[own.format(0)][0]
    for name in ("loss", "accuracy", "ensemble_accuracy"):
        own = name.removeprefix("ensemble_")
        assert logs[f"val_{name}"] == logs[f"val_network_0_{own}"]


def test_a_retired_network_has_no_accuracy():
    x, y = data()
    trainer = trainer_of([flat_dense(0), flat_dense(1)])
    both = trainer.evaluate(x, y, verbose=0, return_dict=True)
    trainer.status[1] = "retired"
    logs = trainer.evaluate(x, y, verbose=0, return_dict=True)
    assert np.isnan([logs["network_1_accuracy"], logs["network_1_loss"]]).all()
    assert logs["accuracy"] == logs["network_0_accuracy"]
    assert logs["network_0_accuracy"] == both["network_0_accuracy"]


# Skipped steps.


class NanGradient(keras.layers.Layer):
    """Identity whose gradient is NaN."""

    def call(self, x):
        @keras.ops.custom_gradient
        def identity(x):
            return x * 1.0, lambda upstream: upstream * float("nan")

        return identity(x)


class NanAbove(keras.layers.Layer):
    """Identity, but for a batch with a number beyond 1000."""

    def call(self, x):
        nan = float("nan")
        return keras.ops.where(keras.ops.max(keras.ops.abs(x)) > 1000.0, nan, x)


class NanPenalty(keras.regularizers.Regularizer):
    def __call__(self, weights):
        return float("nan") * keras.ops.sum(weights)


def overflowing_teacher():
    teacher = flat_dense(9)
    teacher.layers[-1].kernel.assign(np.full((16, 3), 3e38))
    return keras_graft.TeacherDistillation(teacher)


def of_batch(array):
    array = np.asarray(array, "float32").copy()
    array[18] = np.nan
    return array


def situations():
    x, y = data()
    weights = np.ones(len(y), "float32")
    loud = x.copy()
    loud[18] *= 1e5
    plain = [flat_dense(0), flat_dense(1)]
    ill = [flat_dense(0), flat_dense(1, last=[NanGradient()])]
    strict = [flat_dense(0), flat_dense(1, kernel_regularizer=NanPenalty())]
    spoilt = [flat_dense(0), flat_dense(1, last=[NanAbove()])]
    return {
        CAUSES[0]: (plain, (of_batch(x), y), {}, {}, [1, 1], 3),
        CAUSES[1]: (plain, (x, of_batch(y)), {"loss": "mse"}, {}, [1, 1], 3),
        CAUSES[2]: (
            plain,
            (x, y),
            {},
            {"sample_weight": of_batch(weights)},
            [1, 1],
            3,
        ),
        CAUSES[3]: (spoilt, (loud, y), {}, {}, [0, 1], 3),
        CAUSES[5]: (strict, (x, y), {}, {}, [0, 4], 1),
        CAUSES[4]: (
            plain,
            (x, y),
            {"distillation": overflowing_teacher()},
            {},
            [4, 4],
            1,
        ),
        CAUSES[7]: (ill, (x, y), {}, {}, [0, 4], 1),
    }


@pytest.mark.parametrize("cause", [c for c in CAUSES if c != CAUSES[6]])
def test_skipped_steps_are_counted_and_the_first_is_named(cause, caplog):
    networks, given, made, more, counts, step = situations()[cause]
    made.setdefault("metrics", [])
    if cause == CAUSES[1]:
        networks = [flat_dense(0, 1), flat_dense(1, 1)]
    trainer = trainer_of(networks, **made)
    before = [w.numpy() for w in networks[1].weights]
    with caplog.at_level(logging.WARNING):
        logs = fit(trainer, *given, **more)
    for k, count in enumerate(counts):
        assert logs[f"network_{k}_skipped_steps"] == [count]
        assert trainer.optimizer.optimizers[k].iterations == 4 - count
    named = [r.message for r in caplog.records if "skipped step" in r.message]
    who = "network_0 and network_1" if counts[0] else "network_1"
    assert len(named) == 1
    assert named[0].startswith(
        f"{who} skipped step {step} of epoch 0: {cause} had NaN"
    )
    if counts[1] == 4:
        for old, new in zip(before, networks[1].weights, strict=True):
            np.testing.assert_array_equal(old, new.numpy())
        assert trainer.status[1] == "retired"
        assert "network_1 is masked at the end of epoch 0" in caplog.text


def test_only_the_first_skipped_step_of_a_fit_is_named(caplog):
    x, y = data()
    with caplog.at_level(logging.WARNING):
        logs = fit(trainer_of([flat_dense(0)]), of_batch(x), y, epochs=3)
    assert logs["network_0_skipped_steps"] == [1, 1, 1]
    assert caplog.text.count("skipped step") == 1


def test_every_epoch_has_the_key_and_evaluation_has_not():
    x, y = data()
    logs = fit(
        trainer_of([flat_dense(0)]), x, y, epochs=2, validation_data=(x, y)
    )
    assert logs["network_0_skipped_steps"] == [0, 0]
    assert "val_network_0_skipped_steps" not in logs


@pytest.mark.parametrize("accelerate", [True, False])
def test_skipped_batches_are_not_in_the_accuracy(accelerate):
    """At a rate of 0 it is the mean over the other batches."""
    x, y = data()
    networks = [flat_dense(0), flat_dense(1)]
    right = []
    for one in networks:
        hit = np.argmax(one.predict(x, verbose=0), -1) == y
        right.append(np.mean(np.delete(hit, range(16, 24))))
    trainer = keras_graft.GraftTrainer(
        networks, distillation=None, accelerate=accelerate
    )
    trainer.compile(
        keras.optimizers.SGD(0.0), crossentropy(), metrics=["accuracy"]
    )
    hit = np.argmax(trainer.predict(x, verbose=0), -1) == y
    logs = fit(trainer, of_batch(x), y)
    for k in range(2):
        np.testing.assert_allclose(
            logs[f"network_{k}_accuracy"][0], right[k], rtol=1e-6
        )
    np.testing.assert_allclose(
        logs["ensemble_accuracy"][0],
        np.mean(np.delete(hit, range(16, 24))),
        rtol=1e-6,
    )


def test_a_loss_scale_that_is_still_sought_masks_nobody(caplog):
    x, y = data()
    scaled = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.01), initial_scale=1e38
    )
    trainer = trainer_of([flat_dense(0)], optimizer=scaled)
    with caplog.at_level(logging.WARNING):
        logs = fit(trainer, x * 1e4, y)
    assert logs["network_0_skipped_steps"] == [4]
    assert trainer.status == ["live"]
    assert "skipped" not in caplog.text


@pytest.mark.slow
def test_two_replicas_count_a_skipped_step_once(two_replicas):
    x, y = data()
    with two_replicas.scope():
        trainer = trainer_of([flat_dense(0), flat_dense(1)])
    logs = fit(trainer, of_batch(x), y, validation_data=(of_batch(x), y))
    assert logs["network_1_skipped_steps"] == [1]
    assert np.isnan(logs["val_network_1_loss"][0])
    assert np.isfinite(logs["network_1_loss"][0])


# Retired networks.


def retired_one():
    x, y = data()
    trainer = trainer_of([flat_dense(0), flat_dense(1)])
    trainer.networks[1].layers[-1].kernel.assign(np.full((16, 3), np.nan))
    fit(trainer, x, y)
    assert trainer.status == ["live", "retired"]
    return trainer


def test_a_retired_network_with_new_weights_and_compile_is_live():
    x, y = data()
    trainer = retired_one()
    trainer.networks[1].set_weights(flat_dense(5).get_weights())
    trainer.compile(keras.optimizers.SGD(0.01), crossentropy())
    assert trainer.status == ["live", "live"]
    alone = flat_dense(5)
    alone.compile(keras.optimizers.SGD(0.01), crossentropy())
    logs = fit(trainer, x, y, epochs=2)
    right = alone.fit(
        x, y, batch_size=8, epochs=2, shuffle=False, verbose=0
    ).history
    np.testing.assert_allclose(logs["network_1_loss"], right["loss"], rtol=1e-5)


@pytest.mark.parametrize("given", [None, np.nan])
def test_without_new_weights_it_stays_retired_and_that_is_said(given, caplog):
    trainer = retired_one()
    if given is None:
        # Retired by hand, with weights that are good.
        trainer.networks[1].set_weights(flat_dense(5).get_weights())
        trainer.status[1] = "retired"
    else:
        shape = trainer.networks[1].layers[-1].kernel.shape
        trainer.networks[1].layers[-1].kernel.assign(np.full(shape, given))
    with caplog.at_level(logging.WARNING):
        trainer.compile(keras.optimizers.SGD(0.01), crossentropy())
    assert trainer.status == ["live", "retired"]
    assert "network_1 stays retired" in caplog.text
