import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import compiled
from builders import crossentropy
from builders import make_trainer
from builders import sgd
from builders import small_network
from builders import small_networks

import keras_graft
from keras_graft import grafting


def batches(images, size=16, shuffle_seed=None):
    dataset = tf.data.Dataset.from_tensor_slices(images)
    if shuffle_seed is not None:
        dataset = dataset.shuffle(64, seed=shuffle_seed)
    return dataset.batch(size)


def weights_of(model):
    return [variable.numpy() for variable in model.weights]


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_near(found, expected):
    largest = max(np.max(np.abs(values)) for values in expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * largest)


# Promise 4: without grafting and distillation, N separate fits.


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("num_networks", [1, 3])
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


# Logs.


def test_logs_have_every_name_in_every_epoch(images):
    trainer = make_trainer(small_networks(2))
    history = trainer.fit(
        batches(images), validation_data=batches(images), epochs=2, verbose=0
    ).history
    names = ["loss", "distillation_loss", "accuracy", "ensemble_accuracy"]
    names += [f"network_{k}_{m}" for k in (0, 1) for m in ("loss", "accuracy")]
    expected = names + [f"val_{name}" for name in names]
    expected += ["learning_rate_network_0", "learning_rate_network_1"]
    assert sorted(history) == sorted(expected)
    assert all(len(values) == 2 for values in history.values())


def test_means_in_the_logs_are_means_over_networks(images):
    trainer = make_trainer(small_networks(3))
    history = trainer.fit(batches(images), epochs=1, verbose=0).history
    for name in ("loss", "accuracy"):
        each = [history[f"network_{k}_{name}"][0] for k in range(3)]
        np.testing.assert_allclose(history[name][0], np.mean(each), rtol=1e-5)


def test_losses_are_averages_over_examples_not_batches(images):
    # Batches of 48 and 16: a mean of batch means would be off.
    network = small_network(batch_norm=False)
    trainer = make_trainer(
        [network], optimizer=keras.optimizers.SGD(0.0), distillation=None
    )
    x, y = images
    history = trainer.fit(batches(images, 48), epochs=1, verbose=0).history
    logits = network.predict(x, verbose=0)
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    expected = -log_p[np.arange(64), y].mean()
    np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-5)


def test_validation_loss_leaves_distillation_out(images):
    trainer = make_trainer(small_networks(2))
    x, y = images
    logs = trainer.evaluate(x, y, verbose=0, return_dict=True)
    each = []
    for network in trainer.networks:
        network.compile(loss=crossentropy())
        each.append(network.evaluate(x, y, verbose=0))
    np.testing.assert_allclose(logs["loss"], np.mean(each), rtol=1e-5)
    assert logs["distillation_loss"] > 0


def test_ensemble_is_the_mean_of_probabilities(images):
    trainer = make_trainer(small_networks(3))
    x, y = images
    logs = trainer.evaluate(x, y, verbose=0, return_dict=True)
    logits = np.stack([n.predict(x, verbose=0) for n in trainer.networks])
    exp = np.exp(logits)
    expected = (exp / exp.sum(-1, keepdims=True)).mean(0)
    np.testing.assert_allclose(
        trainer.predict(x, verbose=0), expected, rtol=1e-5
    )
    np.testing.assert_allclose(
        logs["ensemble_accuracy"], (expected.argmax(-1) == y).mean()
    )


# Labels, weights, outputs.


def test_one_hot_labels_train_like_sparse_ones(images):
    x, y = images
    losses = {
        "sparse": (crossentropy(), y),
        "one_hot": (
            keras.losses.CategoricalCrossentropy(from_logits=True),
            keras.utils.to_categorical(y, 4),
        ),
        "column": (crossentropy(), y[:, None]),
    }
    ends = {}
    for name, (loss, labels) in losses.items():
        trainer = make_trainer(small_networks(2), loss=loss)
        trainer.fit(x, labels, batch_size=16, shuffle=False, verbose=0)
        ends[name] = weights_of(trainer.networks[0])
    for name in ("one_hot", "column"):
        for a, b in zip(ends["sparse"], ends[name], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_softmax_outputs_train_like_logits(images):
    x, y = images
    ends = []
    for activation in (None, "softmax"):
        trainer = make_trainer(
            small_networks(2, activation=activation),
            loss=crossentropy(from_logits=activation is None),
        )
        trainer.fit(x, y, batch_size=16, shuffle=False, verbose=0)
        ends.append(weights_of(trainer.networks[1]))
        probabilities = trainer.predict(x, verbose=0)
        np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("how", ["sample_weight", "class_weight"])
def test_weight_zero_takes_examples_out(images, how):
    x, y = images
    keep = y < 2
    if how == "sample_weight":
        weighting = {"sample_weight": keep.astype("float32")}
    else:
        weighting = {"class_weight": {0: 1.0, 1: 1.0, 2: 0.0, 3: 0.0}}
    ends = []
    for poison in (0.0, 5.0):
        poisoned = np.where(keep[:, None, None, None], x, x + poison)
        trainer = make_trainer(small_networks(2, batch_norm=False))
        trainer.fit(
            poisoned, y, batch_size=64, shuffle=False, verbose=0, **weighting
        )
        ends.append(weights_of(trainer.networks[0]))
    assert_same(*ends)


def test_each_network_gets_its_own_view(images):
    x, y = images
    views = {"network_0": x, "network_1": x[::-1].copy()}
    labels = {"network_0": y, "network_1": y[::-1].copy()}
    dataset = tf.data.Dataset.from_tensor_slices((views, labels)).batch(16)
    trainer = make_trainer(
        [small_network(0), small_network(0)], distillation=None
    )
    history = trainer.fit(dataset, verbose=0).history
    for k, order in enumerate((slice(None), slice(None, None, -1))):
        alone = small_network(0)
        alone.compile(sgd(), crossentropy())
        alone.fit(x[order], y[order], batch_size=16, shuffle=False, verbose=0)
        pairs = zip(
            weights_of(trainer.networks[k]), weights_of(alone), strict=True
        )
        for mine, theirs in pairs:
            np.testing.assert_allclose(mine, theirs, atol=1e-6)
    # Different labels have no ensemble.
    assert np.isnan(history["ensemble_accuracy"][0])


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


# Which network is best.


def test_best_network_is_the_one_with_the_best_validation_accuracy(images):
    x, y = images
    # The second network cannot learn: its rate is 0.
    trainer = make_trainer(
        small_networks(2),
        optimizer=[sgd(0.2), sgd(0.0)],
        distillation=None,
    )
    with pytest.raises(ValueError, match="No live network has a"):
        _ = trainer.best_network
    trainer.fit(x, y, epochs=8, validation_data=(x, y), verbose=0)
    assert trainer.best_network is trainer.networks[0]
    trainer.status[0] = "retired"
    assert trainer.best_network is trainer.networks[1]


def test_monitored_loss_is_better_smaller(images):
    x, y = images
    trainer = keras_graft.GraftTrainer(
        small_networks(2),
        distillation=None,
        monitor="loss",
    )
    trainer.compile([sgd(0.2), sgd(0.0)], crossentropy())
    trainer.fit(x, y, epochs=6, verbose=0)
    assert trainer.best_network is trainer.networks[0]


# A network that diverges harms no other (promise 2).


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


def test_term_of_weight_zero_is_not_in_the_graph(images):
    ends = []
    for terms in (None, keras_graft.MutualDistillation(weight=0.0)):
        trainer = make_trainer(small_networks(2), distillation=terms)
        trainer.fit(batches(images), verbose=0)
        ends.append(weights_of(trainer.networks[0]))
    assert_same(*ends)


# Bad input.


def test_networks_that_share_a_layer_are_refused():
    network = small_network()
    with pytest.raises(ValueError, match="share the layer"):
        keras_graft.GraftTrainer([network, network])
    with pytest.raises(ValueError, match="`networks` is empty"):
        keras_graft.GraftTrainer([])
    with pytest.raises(ValueError, match="must be Keras models"):
        keras_graft.GraftTrainer(["resnet8"])


def test_wrong_distillation_is_refused():
    with pytest.raises(ValueError, match="`distillation` must be"):
        keras_graft.GraftTrainer([small_network()], distillation="mutal")


def test_wrong_optimizers_are_refused():
    networks = small_networks(2)
    trainer = keras_graft.GraftTrainer(networks)
    with pytest.raises(ValueError, match="a list of 2, one for each network"):
        trainer.compile([sgd()], crossentropy())
    shared = sgd()
    with pytest.raises(ValueError, match="one object twice"):
        trainer.compile([shared, shared], crossentropy())
    with pytest.raises(ValueError, match="`loss` is missing"):
        trainer.compile(sgd())


def test_activation_that_contradicts_from_logits_is_refused():
    with pytest.raises(ValueError, match="squashed twice"):
        make_trainer([small_network(activation="softmax")])
    with pytest.raises(ValueError, match="takes probabilities"):
        make_trainer([small_network()], loss=crossentropy(from_logits=False))


def test_fit_before_compile_is_refused(images):
    trainer = keras_graft.GraftTrainer([small_network()])
    with pytest.raises(ValueError, match="Call `compile\\(\\)` before"):
        trainer.fit(batches(images))


@pytest.mark.parametrize("where", ["training", "validation"])
def test_labels_beyond_the_output_units_are_refused(images, where):
    x, y = images
    trainer = make_trainer([small_network()])
    before = weights_of(trainer.networks[0])
    fit = {
        "training": {"y": y + 1},
        "validation": {"y": y, "validation_data": (x, y + 1)},
    }[where]
    with pytest.raises(ValueError, match="4 output units.*from 1 to 4"):
        trainer.fit(x, verbose=0, **fit)
    assert_same(before, weights_of(trainer.networks[0]))


def test_label_out_of_range_in_a_dataset_is_named(images):
    x, y = images
    network = small_network()
    before = [v.numpy() for v in network.trainable_variables]
    with pytest.raises(ValueError, match="label of the data is 7.*0 to 3"):
        make_trainer([network]).fit(batches((x, y + 4 * (y == 3))), verbose=0)
    assert_same(before, [v.numpy() for v in network.trainable_variables])


def test_loss_that_does_not_tell_trains_like_one_that_does(images):
    ends = []
    for loss in (
        crossentropy(),
        lambda y, z: keras.losses.sparse_categorical_crossentropy(
            y, z, from_logits=True
        ),
    ):
        # Of the function nobody knows what it takes: it has to be said.
        trainer = keras_graft.GraftTrainer(
            small_networks(2), heads="class_logits"
        )
        compiled(trainer, loss=loss)
        trainer.fit(batches(images), verbose=0)
        ends.append(weights_of(trainer.networks[0]))
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_config_survives_being_read_twice():
    trainer = keras_graft.GraftTrainer(small_networks(2))
    config = trainer.get_config()
    for _ in range(2):
        copy = keras_graft.GraftTrainer.from_config(config)
        assert [n.name for n in copy.networks] == ["net0", "net1"]


def test_labels_of_the_wrong_shape_are_refused(images):
    x, y = images
    trainer = make_trainer([small_network()])
    with pytest.raises(ValueError, match="integer labels of shape"):
        trainer.fit(x, keras.utils.to_categorical(y, 4))
    trainer = make_trainer(
        [small_network()],
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    with pytest.raises(ValueError, match="one-hot labels of shape"):
        trainer.fit(x, keras.utils.to_categorical(y, 7))


@pytest.mark.parametrize(
    "method", ["fit", "evaluate", "train_on_batch", "test_on_batch"]
)
def test_inputs_without_labels_are_refused(images, method):
    trainer = make_trainer([small_network(), small_network(1)])
    with pytest.raises(ValueError, match="learn from labels.*y=None"):
        getattr(trainer, method)(images[0])
    assert not trainer.built


def test_datasets_without_labels_are_refused(images):
    trainer = make_trainer([small_network(), small_network(1)])
    with pytest.raises(ValueError, match="learn from labels.*y=None"):
        trainer.fit(tf.data.Dataset.from_tensors(images[0]))


def test_empty_data_is_refused(images):
    trainer = make_trainer([small_network()])
    x, y = images
    with pytest.raises(ValueError, match="no training data"):
        trainer.fit(x[:0], y[:0])
    too_large = tf.data.Dataset.from_tensor_slices(images).batch(
        100, drop_remainder=True
    )
    with pytest.raises(ValueError, match="larger than the data"):
        trainer.fit(too_large)


def test_networks_with_other_outputs_are_refused(images):
    inputs = keras.Input((8, 8, 1))
    z = keras.layers.Conv2D(6, 3)(inputs)
    z = keras.layers.GlobalAveragePooling2D()(z)
    other = keras.Model(inputs, keras.layers.Dense(5)(z))
    trainer = make_trainer([small_network(), other])
    with pytest.raises(ValueError, match="must have the same outputs"):
        trainer.fit(batches(images))
