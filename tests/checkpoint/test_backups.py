"""Keras' `BackupAndRestore` in the `fit` of a trainer."""

import logging

import keras
import numpy as np
import pytest
from builders import Stop
from builders import StopAt
from builders import compiled
from builders import make_trainer
from builders import small_network
from comparisons import assert_same_state

import keras_graft
from keras_graft.checkpoint.files import CheckpointError

BackupAndRestore = keras.callbacks.BackupAndRestore


class Look(keras.callbacks.Callback):
    """Notes which files a folder holds when an epoch begins."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.seen = []

    def on_epoch_begin(self, epoch, logs=None):
        found = self.folder.iterdir() if self.folder.exists() else []
        self.seen.append(sorted(path.name for path in found))


def make(seed=0, **changes):
    networks = [small_network(seed + k, dropout=0.3) for k in range(2)]
    return make_trainer(networks, **changes)


def train(trainer, images, *callbacks, **fit):
    return trainer.fit(
        keras_graft.data.EpochOrdered(images, batch_size=16, seed=0),
        callbacks=[keras_graft.GraftCallback(), *callbacks],
        verbose=0,
        **{"epochs": 4, **fit},
    )


def test_a_killed_fit_goes_on_as_with_a_run_checkpoint(images, tmp_path):
    whole = make()
    checkpoint = keras_graft.RunCheckpoint(tmp_path / "whole")
    expected = train(whole, images, checkpoint)
    folder = tmp_path / "cut"
    stopped, looked = [BackupAndRestore(str(folder)), StopAt(2)], Look(folder)
    with pytest.raises(Stop):
        train(make(), images, looked, *stopped)
    # One file at a time, as Keras does without `double_checkpoint`.
    assert looked.seen == [[], ["epoch-000001"], ["epoch-000002"]]
    # Other initial weights: all of them must come from the backup. So does
    # the epoch, whatever `fit` is told.
    resumed = make(50)
    backup = BackupAndRestore(folder, delete_checkpoint=False)
    found = train(resumed, images, backup, initial_epoch=1)
    assert found.history == expected.history
    assert found.epoch == expected.epoch == [0, 1, 2, 3]
    assert_same_state(resumed, whole)
    assert [path.name for path in folder.iterdir()] == ["epoch-000004"]
    # Nothing is left to train, so that this is the end of it.
    again = make(90)
    train(again, images, BackupAndRestore(folder, double_checkpoint=True))
    assert_same_state(again, whole)
    assert not folder.exists()


def test_two_backups_are_kept_if_asked_for(images, tmp_path):
    looked = Look(tmp_path / "two")
    backup = BackupAndRestore(tmp_path / "two", double_checkpoint=True)
    train(make(), images, looked, backup, epochs=3, initial_epoch=1)
    assert looked.seen == [[], ["epoch-000002"]]
    looked.seen.clear()
    # The folder is gone: the same callback serves another run.
    train(make(), images, looked, backup)
    assert looked.seen[2:] == [
        ["epoch-000001", "epoch-000002"],
        ["epoch-000002", "epoch-000003"],
    ]


def test_files_of_others_outlive_the_backups(images, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    train(make(), images, BackupAndRestore(tmp_path), epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_last_backup_outlives_its_networks(images, tmp_path, caplog):
    x, y = images
    x = np.array(x)

    class Spoil(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch:
                for network in self.model.networks:
                    network.trainable_variables[0].assign_add(
                        np.full((3, 3, 1, 6), np.nan)
                    )

    with caplog.at_level(logging.WARNING):
        make().fit(
            x,
            y,
            epochs=3,
            callbacks=[BackupAndRestore(tmp_path), Spoil()],
            verbose=0,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000001"]
    assert "No network is left" in caplog.text


class OwnBackup(BackupAndRestore):
    pass


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (lambda at: [BackupAndRestore(at, save_freq=3)], "save_freq=3"),
        (lambda at: [BackupAndRestore(at, save_freq=False)], "within an epoch"),
        (lambda at: [OwnBackup(at)], "OwnBackup cannot restore"),
        (
            lambda at: [BackupAndRestore(at), keras_graft.RunCheckpoint(at)],
            "BackupAndRestore, RunCheckpoint",
        ),
        (
            lambda at: [BackupAndRestore(at / k) for k in "ab"],
            "all but one",
        ),
    ],
)
def test_what_a_backup_cannot_do_is_refused(
    images, tmp_path, callbacks, message
):
    with pytest.raises(ValueError, match=message):
        make().fit(*images, callbacks=callbacks(tmp_path), verbose=0)
    assert not list(tmp_path.iterdir())


def test_the_backup_of_a_plain_run_is_refused_and_left_alone(images, tmp_path):
    model = compiled(small_network())
    backup = BackupAndRestore(tmp_path, delete_checkpoint=False)
    model.fit(*images, callbacks=[backup], verbose=0)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(CheckpointError, match="latest.weights.h5"):
        train(make(), images, BackupAndRestore(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == before
