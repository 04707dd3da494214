"""What a user's own script may meet on two workers; tells it as JSON.

    TF_CONFIG=... python two_workers.py FOLDER

FOLDER is this worker's own; worker 0 finds a checkpoint of one epoch there.
"""

import json
import os
import pathlib
import signal
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from builders import make_trainer
from builders import small_networks

import keras_graft
from keras_graft.checkpoint.manifest import CheckpointError
from keras_graft.distribution import workers
from keras_graft.runs import strategy as devices
from keras_graft.runs.cluster import cluster_of
from keras_graft.runs.signals import Interrupted
from keras_graft.runs.signals import StopSignals


class ChangeOneBit(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        weight = self.model.networks[1].weights[0]
        weight.assign(np.nextafter(weight.numpy(), np.inf, dtype="float32"))


def error_of(kind, function):
    try:
        function()
    except kind as error:
        return str(error)
    return "no error"


def main(folder):
    cluster = cluster_of("multiworker", os.environ)
    told = {}
    with StopSignals() as signals:
        strategy = devices.make_strategy("multiworker", None, cluster)
        signals.take_back()
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            told["signal"] = "not heard"
        except Interrupted as interrupted:
            told["signal"] = interrupted.exit_code
    told["differ"] = workers.disagreements(
        strategy, {"same": 5, "other": 2**40 + cluster.index}
    )
    with strategy.scope():
        trainer = make_trainer(
            small_networks(2), optimizer=keras.optimizers.SGD(0.1)
        )
    checkpoint = keras_graft.RunCheckpoint(folder)
    told["restore"] = error_of(
        CheckpointError, lambda: checkpoint.restore(trainer)
    )

    rng = np.random.default_rng(0)
    x = rng.uniform(size=(8, 8, 8, 1)).astype("float32")
    y = np.arange(8, dtype="int32") % 4
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )

    def batches(*parts):
        data = tf.data.Dataset.from_tensors(parts)
        return data.with_options(options)

    empty = pathlib.Path(f"{folder}-fit")
    changing = [keras_graft.RunCheckpoint(empty)]
    if cluster.index:
        changing.append(ChangeOneBit())
    told["fit"] = error_of(
        workers.WorkersDifferError,
        lambda: trainer.fit(batches(x, y), verbose=0, callbacks=changing),
    )
    told["saved"] = sorted(p.name for p in empty.glob("epoch-*"))

    bad = x.copy()
    # The second worker's half.
    bad[4:] = np.nan
    views = {"network_0": x, "network_1": bad}
    trainer.fit(batches(views, y), verbose=0)
    told["status"] = list(trainer.status)
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
