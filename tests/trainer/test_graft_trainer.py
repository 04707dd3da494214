"""`fit` of a trainer: the same as separate fits, and in Keras' idiom."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import batches
from builders import compiled
from builders import crossentropy
from builders import make_trainer
from builders import sgd
from builders import small_network
from builders import small_networks
from comparisons import assert_near
from comparisons import assert_same
from comparisons import weights_of

import keras_graft
from keras_graft import grafting

# Promise 4: without grafting and distillation, N separate fits.


@pytest.mark.parametrize(
    "num_networks, fused",
    [
        (2, True),
        pytest.param(3, False, marks=pytest.mark.slow),
        pytest.param(1, True, marks=pytest.mark.slow),
    ],
)
def test_without_graft_and_distillation_equals_separate_fits(
    images, num_networks, fused
):
    def build(k):
        return keras_graft.models.build(
            "resnet8", 4, input_shape=(8, 8, 1), width=0.25, seed=k
        )

    data = batches(images, shuffle_seed=7)
    rates = grafting.ring_learning_rates(0.1, num_networks)
    trainer = compiled(
        keras_graft.GraftTrainer(
            [build(k) for k in range(num_networks)],
            distillation=None,
            accelerate=fused,
        ),
        optimizer=[sgd(rate) for rate in rates],
    )
    history = trainer.fit(data, epochs=2, verbose=0)
    for k in range(num_networks):
        alone = build(k)
        alone.compile(sgd(rates[k]), crossentropy(), metrics=["accuracy"])
        expected = alone.fit(
            batches(images, shuffle_seed=7),
            epochs=2,
            shuffle=False,
            verbose=0,
        )
        if fused:
            assert_near(weights_of(trainer.networks[k]), weights_of(alone))
        else:
            assert_same(weights_of(trainer.networks[k]), weights_of(alone))
        for name in ("loss", "accuracy"):
            np.testing.assert_allclose(
                history.history[f"network_{k}_{name}"],
                expected.history[name],
                rtol=1e-5 if fused else 1e-6,
            )


def test_shuffled_dataset_is_drawn_in_the_order_of_a_plain_fit(images):
    seen = {"trainer": [], "alone": []}

    def recorded(who):
        x, y = images
        numbered = (np.arange(64, dtype="int64"), x, y)
        dataset = tf.data.Dataset.from_tensor_slices(numbered).shuffle(
            64, seed=3
        )

        def record(i, x, y):
            tf.py_function(lambda n: seen[who].append(int(n)), [i], [])
            return x, y

        return dataset.map(record).batch(16)

    make_trainer([small_network()]).fit(
        recorded("trainer"), epochs=2, verbose=0
    )
    alone = small_network()
    alone.compile(sgd(), crossentropy())
    alone.fit(recorded("alone"), epochs=2, shuffle=False, verbose=0)
    assert seen["trainer"][:128] == seen["alone"][:128]


# Keras' idiom.


def test_stock_learning_rate_callbacks_act_on_each_optimizer(images):
    trainer = make_trainer(small_networks(2), optimizer=[sgd(0.1), sgd(0.05)])
    halve = keras.callbacks.LearningRateScheduler(lambda _, rate: rate / 2)
    history = trainer.fit(
        batches(images), epochs=2, verbose=0, callbacks=[halve]
    ).history
    np.testing.assert_allclose(
        history["learning_rate_network_0"], [0.05, 0.025], rtol=1e-6
    )
    np.testing.assert_allclose(
        history["learning_rate_network_1"], [0.025, 0.0125], rtol=1e-6
    )
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="loss", factor=0.1, patience=0, min_delta=1e9
    )
    trainer.fit(batches(images), epochs=2, verbose=0, callbacks=[plateau])
    rates = [float(o.learning_rate) for o in trainer.optimizer.optimizers]
    np.testing.assert_allclose(rates, [0.0025, 0.00125], rtol=1e-5)


def test_steps_per_execution_changes_nothing(images):
    ends = []
    for steps in (1, 4):
        trainer = make_trainer(small_networks(2), steps_per_execution=steps)
        trainer.fit(batches(images), epochs=2, verbose=0)
        ends.append(weights_of(trainer.networks[0]))
    assert_same(*ends)


@pytest.mark.slow
def test_xla_changes_nothing_but_rounding(images):
    ends = []
    for jit_compile in (False, True):
        trainer = make_trainer(small_networks(2), jit_compile=jit_compile)
        history = trainer.fit(
            batches(images),
            validation_data=batches(images),
            epochs=2,
            verbose=0,
            callbacks=[keras_graft.GraftCallback()],
        )
        logs = [history.history[name][-1] for name in ("loss", "val_loss")]
        ends.append([*weights_of(trainer.networks[0]), *logs])
    assert_near(*ends)


def test_saved_trainer_predicts_the_same_and_trains_on(images, tmp_path):
    x, y = images
    trainer = make_trainer(
        small_networks(2),
        optimizer=[sgd(0.1), sgd(0.05)],
        distillation=[keras_graft.MutualDistillation(temperature=3.0)],
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)],
    )
    fit = {"batch_size": 16, "shuffle": False, "verbose": 0}
    trainer.fit(x, y, validation_data=(x, y), **fit)
    path = tmp_path / "trainer.keras"
    trainer.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), trainer.predict(x, verbose=0)
    )
    best = trainer.networks.index(trainer.best_network)
    assert loaded.networks.index(loaded.best_network) == best
    expected = trainer.fit(x, y, **fit).history
    assert loaded.fit(x, y, **fit).history == expected
    for mine, theirs in zip(trainer.networks, loaded.networks, strict=True):
        assert_same(weights_of(mine), weights_of(theirs))


def test_loss_and_metrics_by_name_and_one_optimizer_copied(images):
    networks = small_networks(2, activation="softmax")
    trainer = make_trainer(
        networks, loss="sparse_categorical_crossentropy", optimizer="adam"
    )
    trainer.fit(batches(images), verbose=0)
    first, second = trainer.optimizer.optimizers
    assert first is not second
    assert int(first.iterations) == int(second.iterations) == 4


def test_subclassed_networks_are_built_before_any_callback(images):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(4, 3)
            self.pool = keras.layers.GlobalAveragePooling2D()
            self.dense = keras.layers.Dense(4)

        def call(self, x):
            return self.dense(self.pool(self.conv(x / 255.0)))

    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.extend(n.conv.kernel.shape for n in self.model.networks)

    trainer = make_trainer([Net(), Net()])
    callbacks = [Look(), keras_graft.GraftCallback()]
    trainer.fit(batches(images), epochs=2, verbose=0, callbacks=callbacks)
    assert seen == [(3, 3, 1, 4)] * 2


def test_generator_loses_no_batch(images):
    x, y = images
    ends = []
    for wrap in (lambda b: b, iter):
        pairs = ((x[i : i + 16], y[i : i + 16]) for i in range(0, 64, 16))
        trainer = make_trainer(small_networks(2))
        trainer.fit(
            pairs if wrap is iter else batches(images),
            steps_per_epoch=4,
            verbose=0,
        )
        ends.append(weights_of(trainer.networks[0]))
    assert_same(*ends)


def test_train_on_batch_trains(images):
    x, y = images
    trainer = make_trainer(small_networks(2))
    before = weights_of(trainer.networks[1])
    logs = trainer.train_on_batch(x, y, return_dict=True)
    assert np.isfinite(logs["loss"])
    assert not np.array_equal(before[0], weights_of(trainer.networks[1])[0])


def test_term_of_weight_zero_is_not_in_the_graph(images):
    ends = []
    for terms in (None, keras_graft.MutualDistillation(weight=0.0)):
        trainer = make_trainer(small_networks(2), distillation=terms)
        trainer.fit(batches(images), verbose=0)
        ends.append(weights_of(trainer.networks[0]))
    assert_same(*ends)


def test_config_survives_being_read_twice():
    trainer = keras_graft.GraftTrainer(small_networks(2))
    config = trainer.get_config()
    for _ in range(2):
        copy = keras_graft.GraftTrainer.from_config(config)
        assert [n.name for n in copy.networks] == ["net0", "net1"]
