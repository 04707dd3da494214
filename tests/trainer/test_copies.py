"""What is given once trains every network as plain Keras trains it alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import crossentropy
from builders import slow_but

import keras_graft

OPTIMIZERS = keras.optimizers


def network(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(3, 3),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 4, 4, 1)).astype("float32")
    return x, rng.integers(0, 3, 24)


class OwnSchedule(OPTIMIZERS.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1 / (1.0 + tf.cast(step, "float32"))


class OwnSGD(OPTIMIZERS.SGD):
    def __init__(self, rate, sign):
        super().__init__(rate)
        self.sign = sign

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(self.sign * gradient, variable, learning_rate)

    def get_config(self):
        raise NotImplementedError


def excluding():
    optimizer = OPTIMIZERS.SGD(0.1, weight_decay=1.0)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def multi():
    return OPTIMIZERS.MultiOptimizer(
        OPTIMIZERS.OptimizerMap(
            OPTIMIZERS.SGD(0.1), {".*bias": OPTIMIZERS.Adam(0.01)}
        )
    )


ONCE = {
    "name": lambda: "adam",
    "excluding": excluding,
    "lamb": lambda: OPTIMIZERS.Lamb(0.01),
    "loss_scale": lambda: OPTIMIZERS.LossScaleOptimizer(
        OPTIMIZERS.SGD(0.1, momentum=0.9)
    ),
    "own_schedule": lambda: OPTIMIZERS.SGD(OwnSchedule()),
    "own_class": lambda: OwnSGD(0.1, -1.0),
    "multi": multi,
    "averaging": lambda: OPTIMIZERS.SGD(0.1, use_ema=True, ema_momentum=0.5),
    "accumulating": lambda: OPTIMIZERS.SGD(0.1, gradient_accumulation_steps=2),
    "clipping": lambda: OPTIMIZERS.Adam(0.01, global_clipnorm=0.1),
    "muon": lambda: OPTIMIZERS.Muon(0.01),
}


def fitted(model, data, optimizer, **arguments):
    model.compile(optimizer, crossentropy(from_logits=False), **arguments)
    history = model.fit(*data, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return history.history


@pytest.mark.parametrize("name", slow_but(("excluding", "multi"), ONCE))
def test_an_optimizer_given_once_trains_each_network_as_alone(data, name):
    make = ONCE[name]
    alone = [network(k) for k in range(2)]
    for model in alone:
        fitted(model, data, make())
    trainer = keras_graft.GraftTrainer(
        [network(k) for k in range(2)], distillation=None, accelerate=False
    )
    fitted(trainer, data, make())
    for model, trained in zip(alone, trainer.networks, strict=True):
        for a, b in zip(
            model.get_weights(), trained.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_a_list_without_configs_trains(data):
    trainer = keras_graft.GraftTrainer([network(0), network(1)])
    fitted(trainer, data, [OwnSGD(0.1, 1.0), OPTIMIZERS.SGD(OwnSchedule())])
    assert [int(o.iterations) for o in trainer.optimizer.optimizers] == [6, 6]


def test_the_optimizer_of_one_network_is_the_one_given(data):
    optimizer = OPTIMIZERS.SGD(0.1)
    fitted(keras_graft.GraftTrainer([network()]), data, optimizer)
    assert int(optimizer.iterations) == 6


class OwnMetric(keras.metrics.Metric):
    """Without a config, and with a function and a state of its own."""

    def __init__(self, power):
        super().__init__(name="own")
        self.powered = lambda values: values**power
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(tf.reduce_sum(self.powered(y_pred)))

    def result(self):
        return self.total * 1.0


def first_of_row(y_true, y_pred, column=0):
    return y_pred[:, column]


METRICS = {
    "cosine": lambda: keras.metrics.CosineSimilarity(axis=0),
    "f1": lambda: keras.metrics.F1Score(average=None, threshold=0.4),
    "wrapper": lambda: keras.metrics.MeanMetricWrapper(
        first_of_row, name="wrapper", column=2
    ),
    "own": lambda: OwnMetric(3),
    "auc": lambda: keras.metrics.AUC(multi_label=True, num_labels=3),
    "top": lambda: keras.metrics.TopKCategoricalAccuracy(k=2),
    "recall": lambda: keras.metrics.Recall(class_id=1, thresholds=[0.3, 0.5]),
}


@pytest.mark.parametrize("name", slow_but(("f1", "own", "recall"), METRICS))
def test_a_metric_given_once_counts_for_each_as_in_keras(data, name):
    make = METRICS[name]
    x, labels = data
    y = keras.utils.to_categorical(labels, 3)
    metric = make()
    trainer = keras_graft.GraftTrainer(
        [network(0), network(1)], distillation=None
    )
    trainer.compile("sgd", "categorical_crossentropy", metrics=[metric])
    logs = trainer.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    alone = []
    for k in range(2):
        model = network(k)
        model.compile("sgd", "categorical_crossentropy", metrics=[make()])
        found = model.evaluate(x, y, batch_size=8, verbose=0)[1]
        np.testing.assert_allclose(
            logs[f"network_{k}_{metric.name}"], found, rtol=1e-5
        )
        alone.append(np.asarray(found))
    np.testing.assert_allclose(
        logs[metric.name], np.mean(alone, axis=0), rtol=1e-5
    )
    together = make()
    y_pred = sum(n.predict(x, verbose=0) for n in trainer.networks) / 2
    for i in range(0, 24, 8):
        together.update_state(y[i : i + 8], y_pred[i : i + 8])
    np.testing.assert_allclose(
        logs[f"ensemble_{metric.name}"], together.result(), rtol=1e-4
    )


def test_vectors_in_the_logs_survive_a_checkpoint(data, tmp_path):
    x, labels = data
    y = keras.utils.to_categorical(labels, 3)

    def run(epochs):
        trainer = keras_graft.GraftTrainer([network(0), network(1)])
        trainer.compile(
            OPTIMIZERS.SGD(0.1),
            "categorical_crossentropy",
            metrics=[keras.metrics.F1Score(average=None)],
        )
        return trainer.fit(
            keras_graft.data.EpochOrdered((x, y), batch_size=8, seed=0),
            epochs=epochs,
            callbacks=[keras_graft.RunCheckpoint(tmp_path)],
            verbose=0,
        ).history["f1_score"]

    before, after = run(1), run(2)
    assert np.shape(after) == (2, 3)
    np.testing.assert_allclose(after[0], before[0], rtol=1e-6)


def used():
    optimizer = OPTIMIZERS.SGD(0.1)
    optimizer.build(network().trainable_variables)
    return optimizer


def excluding_variables():
    optimizer = OPTIMIZERS.SGD(0.1, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(
        var_list=network().trainable_variables[:1]
    )
    return optimizer


def holding_a_layer():
    optimizer = OwnSGD(0.1, 1.0)
    optimizer.of = keras.layers.Dense(2, name="regularised")
    return optimizer


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (used, "SGD was built for other weights.*a new one, or a list"),
        (excluding_variables, "exclude_from_weight_decay.*var_names"),
        (holding_a_layer, "OwnSGD holds the layer 'regularised'.*list"),
        (
            lambda: OPTIMIZERS.MultiOptimizer(lambda _: OPTIMIZERS.SGD(0.1)),
            "MultiOptimizer that a function maps.*OptimizerMap",
        ),
        (lambda: None, "`optimizer` must be.*None"),
    ],
)
def test_what_cannot_be_copied_is_refused_with_the_way_out(make, words):
    trainer = keras_graft.GraftTrainer([network(0), network(1)])
    with pytest.raises(ValueError, match=words):
        trainer.compile(make(), crossentropy())


def test_a_metric_of_a_layer_is_refused(data):
    metric = OwnMetric(1)
    metric.of = keras.layers.Dense(2, name="looked_at")
    trainer = keras_graft.GraftTrainer([network(0), network(1)])
    with pytest.raises(ValueError, match="OwnMetric holds the layer 'looked"):
        trainer.compile("sgd", crossentropy(False), metrics=[metric])
