"""What a trainer logs, its ensemble, and which network is best."""

import keras
import numpy as np
import pytest
from builders import batches
from builders import crossentropy
from builders import make_trainer
from builders import sgd
from builders import small_network
from builders import small_networks

import keras_graft


def test_logs_have_every_name_in_every_epoch(images):
    trainer = make_trainer(small_networks(2))
    history = trainer.fit(
        batches(images), validation_data=batches(images), epochs=2, verbose=0
    ).history
    names = ["loss", "distillation_loss", "accuracy", "ensemble_accuracy"]
    names += [f"network_{k}_{m}" for k in (0, 1) for m in ("loss", "accuracy")]
    expected = names + [f"val_{name}" for name in names]
    for k in (0, 1):
        expected += [f"learning_rate_network_{k}", f"network_{k}_skipped_steps"]
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
