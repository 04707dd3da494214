"""`RunCheckpoint` in user code."""

import logging
import shutil

import keras
import numpy as np
import pytest
from builders import Stop
from builders import StopAt
from builders import make_trainer
from builders import small_network

import keras_graft
from keras_graft.checkpoint import files
from keras_graft.checkpoint.training_state import assign_arrays
from keras_graft.checkpoint.training_state import read_arrays


class Counter(keras.callbacks.Callback):
    """A user's own callback with a state."""

    def __init__(self):
        super().__init__()
        self.epochs = []
        self.total = np.zeros(2)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)
        self.total = self.total + epoch

    def get_state(self):
        return {"epochs": self.epochs, "total": self.total}

    def set_state(self, state):
        self.epochs, self.total = state["epochs"], state["total"]


def make(num_networks=2, seed=0, **changes):
    networks = [
        small_network(seed + k, dropout=0.3) for k in range(num_networks)
    ]
    # Without metrics, so that checkpoints hold nothing of them.
    return make_trainer(networks, **{"metrics": None, **changes})


def ordered(images):
    return keras_graft.data.EpochOrdered(images, batch_size=16, seed=0)


def train(trainer, images, folder, *callbacks, epochs=4, graft=True):
    checkpoint = keras_graft.RunCheckpoint(folder)
    grafts = [keras_graft.GraftCallback()] if graft else []
    return trainer.fit(
        ordered(images),
        epochs=epochs,
        initial_epoch=checkpoint.restore(trainer),
        callbacks=[*callbacks, *grafts, checkpoint],
        verbose=0,
    )


def differing(left, right):
    left, right = read_arrays(left), read_arrays(right)
    return {
        name.split("/")[-1]
        for name in left
        if not np.array_equal(left[name], right[name], equal_nan=True)
    }


def test_interrupted_run_goes_on_exactly(images, tmp_path):
    def callbacks():
        return [
            keras.callbacks.ReduceLROnPlateau(
                "learning_rate_network_0", mode="max", patience=2
            ),
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            Counter(),
        ]

    def trainer(seed):
        return make(
            seed=seed,
            optimizer=keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True),
        )

    whole = trainer(0)
    counter = callbacks()
    expected = train(whole, images, tmp_path / "whole", *counter)
    with pytest.raises(Stop):
        train(trainer(0), images, tmp_path / "cut", *callbacks(), StopAt(2))
    # Other initial weights: all of them must come from the checkpoint.
    resumed, again = trainer(50), callbacks()
    found = train(resumed, images, tmp_path / "cut", *again)
    assert differing(whole, resumed) == set()
    assert found.history == expected.history
    # Counts are whole numbers still.
    kinds = {n: {type(v) for v in vs} for n, vs in found.history.items()}
    assert kinds == {
        n: {type(v) for v in vs} for n, vs in expected.history.items()
    }
    assert found.epoch == expected.epoch == [0, 1, 2, 3]
    # The plateau's patience counted on.
    assert found.history["learning_rate_network_0"][-1] < 0.1
    assert again[-1].epochs == [0, 1, 2, 3]
    np.testing.assert_array_equal(again[-1].total, counter[-1].total)


def test_what_is_left_out_of_a_checkpoint_is_missed(images, tmp_path):
    whole = make()
    train(whole, images, tmp_path / "whole", epochs=3)
    with pytest.raises(Stop):
        train(make(), images, tmp_path / "cut", StopAt(2), epochs=3)
    for left_out in ("nothing", "momentum", "state", "graft"):
        shutil.copytree(tmp_path / "cut", tmp_path / left_out)
        resumed = make()
        resumed.optimizer.build_for(resumed.networks)
        fresh = read_arrays(resumed)
        checkpoint = keras_graft.RunCheckpoint(tmp_path / left_out)
        epoch = checkpoint.restore(resumed)
        values = read_arrays(resumed)
        for name in values:
            if name.endswith(f"/{left_out}"):
                values[name] = fresh[name]
        assign_arrays(resumed, values)
        grafts = [keras_graft.GraftCallback()]
        resumed.fit(
            ordered(images),
            epochs=3,
            initial_epoch=epoch,
            callbacks=[checkpoint, *(grafts if left_out != "graft" else [])],
            verbose=0,
        )
        missed = "kernel" in differing(whole, resumed)
        assert missed == (left_out != "nothing"), left_out


def test_run_that_a_callback_stopped_stays_stopped(images, tmp_path):
    def stopping():
        return keras.callbacks.EarlyStopping(
            "learning_rate_network_0",
            mode="max",
            patience=1,
            restore_best_weights=True,
        )

    first = make()
    expected = train(first, images, tmp_path / "run", stopping())
    assert expected.epoch == [0, 1]
    again = make(seed=50)
    found = train(again, images, tmp_path / "run", stopping())
    assert found.epoch == [0, 1]
    # The best weights, which are those of the first epoch, came along.
    assert differing(first, again) == set()


def test_another_dataset_is_named_once(images, tmp_path, caplog):
    train(make(), images, tmp_path / "run", epochs=1)
    trainer = make()
    checkpoint = keras_graft.RunCheckpoint(tmp_path / "run")
    epoch = checkpoint.restore(trainer)
    assert epoch == 1
    with caplog.at_level(logging.WARNING):
        trainer.fit(
            *images,
            batch_size=16,
            epochs=3,
            initial_epoch=epoch,
            callbacks=[checkpoint],
            verbose=0,
        )
    assert caplog.text.count("order of the data is not restored") == 1


def test_wrong_first_epoch_is_refused(images, tmp_path):
    train(make(), images, tmp_path / "run", epochs=1)
    for restored in (False, True):
        trainer = make()
        checkpoint = keras_graft.RunCheckpoint(tmp_path / "run")
        if restored:
            checkpoint.restore(trainer)
        with pytest.raises(ValueError, match="Leave `initial_epoch` out"):
            trainer.fit(
                ordered(images),
                epochs=4,
                initial_epoch=3,
                callbacks=[checkpoint],
                verbose=0,
            )


def test_fit_goes_on_by_itself(images, tmp_path, caplog):
    def fit(trainer, folder, epochs, checkpoint=None):
        checkpoint = checkpoint or keras_graft.RunCheckpoint(tmp_path / folder)
        return trainer.fit(
            ordered(images),
            validation_data=images,
            epochs=epochs,
            callbacks=[checkpoint, keras_graft.GraftCallback()],
            verbose=0,
        )

    whole, again = make(), make()
    expected = fit(whole, "whole", 4)
    checkpoint = keras_graft.RunCheckpoint(tmp_path / "parts")
    fit(make(), "parts", 1, checkpoint)
    # In another process, with a trainer whose weights are other ones.
    fit(make(seed=50), "parts", 2)
    found = fit(again, "parts", 4)
    assert differing(whole, again) == set()
    assert found.history == expected.history
    assert "nothing is left" not in caplog.text
    # A finished run is not trained again, and says so.
    third = make(seed=70)
    assert fit(third, "parts", 4).history == expected.history
    assert differing(whole, third) == set()
    assert "nothing is left to train" in caplog.text


def test_every_difference_to_another_trainer_is_listed(images, tmp_path):
    train(make(), images, tmp_path / "run", epochs=1)
    with pytest.raises(files.CheckpointError) as error:
        keras_graft.RunCheckpoint(tmp_path / "run").restore(make(3))
    assert "missing: network_2/0000/kernel (3, 3, 1, 6)" in str(error.value)
    assert "shape: trainer/masked is (2,) in the checkpoint, (3,) here" in str(
        error.value
    )
    adam = make(optimizer="adam")
    before = [v.numpy() for v in adam.networks[0].weights]
    with pytest.raises(files.CheckpointError) as error:
        keras_graft.RunCheckpoint(tmp_path / "run").restore(adam)
    assert "unexpected: optimizer_0/0003/momentum" in str(error.value)
    assert "missing: optimizer_1/0003/velocity" in str(error.value)
    # Nothing was assigned.
    for old, variable in zip(before, adam.networks[0].weights, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_other_versions_are_named(images, tmp_path, caplog, monkeypatch):
    train(make(), images, tmp_path, epochs=1)
    version = np.__version__
    monkeypatch.setattr(np, "__version__", "9.9.0")
    with caplog.at_level(logging.WARNING):
        keras_graft.RunCheckpoint(tmp_path).restore(make())
    assert f"numpy {version} -> 9.9.0" in caplog.text


def test_restore_needs_a_compiled_trainer(tmp_path):
    trainer = keras_graft.GraftTrainer([small_network()])
    with pytest.raises(ValueError, match="compile"):
        keras_graft.RunCheckpoint(tmp_path).restore(trainer)


def test_networks_without_shapes_are_restored_by_fit(images, tmp_path):
    def trainer(seed):
        init = keras.initializers.GlorotUniform(seed)
        without_shape = keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(4, kernel_initializer=init),
            ]
        )
        return make_trainer([without_shape], optimizer="adam", metrics=None)

    whole = trainer(0)
    train(whole, images, tmp_path / "whole", epochs=2, graft=False)
    train(trainer(0), images, tmp_path / "cut", epochs=1, graft=False)
    resumed = trainer(7)
    train(resumed, images, tmp_path / "cut", epochs=2, graft=False)
    assert differing(whole, resumed) == set()


def test_state_that_json_cannot_hold_is_refused_by_name(images, tmp_path):
    class Odd(Counter):
        def get_state(self):
            return {"model": self.model}

    with pytest.raises(TypeError, match="callback/Odd/model is a GraftTrainer"):
        train(make(), images, tmp_path, Odd(), epochs=1)


def test_new_and_missing_callbacks_are_named(images, tmp_path, caplog):
    train(make(), images, tmp_path, Counter(), epochs=1)
    with caplog.at_level(logging.WARNING):
        train(
            make(),
            images,
            tmp_path,
            keras_graft.InvalidFilterMonitor(),
            epochs=2,
        )
    assert "no state of InvalidFilterMonitor" in caplog.text
    assert "a state of Counter" in caplog.text


def test_replicas_that_differ_are_restored_as_they_were(two_replicas, tmp_path):
    with two_replicas.scope():
        trainer, other = make(), make(seed=9)
        for one in (trainer, other):
            one.optimizer.build_for(one.networks)
    # As the statistics of a BatchNormalization that is not synchronised.
    mean = trainer.networks[1].get_layer("bn").moving_mean
    copies = two_replicas.experimental_local_results(mean.value)
    copies[1].assign(copies[0] + 5.0)
    assign_arrays(other, read_arrays(trainer))
    found = two_replicas.experimental_local_results(
        other.networks[1].get_layer("bn").moving_mean.value
    )
    for left, right in zip(copies, found, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy())
    with pytest.raises(files.CheckpointError, match="replica 1; there are 1"):
        alone = make()
        alone.optimizer.build_for(alone.networks)
        assign_arrays(alone, read_arrays(trainer))
