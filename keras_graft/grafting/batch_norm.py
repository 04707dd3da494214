"""BatchNormalization statistics that fit grafted weights."""

import keras

from keras_graft.structure.batch_norm_statistics import reestimate_batch_norm


class ReestimateBatchNorm(keras.callbacks.Callback):
    """Computes moving statistics anew after each graft, in every live network.

    A graft blends moving statistics with the layer that they belong to. The
    mean of two networks' statistics is not that of the network between them,
    so the accuracy right after a graft can gain from statistics that are
    computed from data. Training itself does not use them.

    Must come after `graft` among the callbacks.

    Args:
        graft: The `GraftCallback` that grafts.
        images: As for `reestimate_batch_norm`; a few batches.
        batch_size: Examples in a batch. Defaults to 256.

    Example:

    ```python
    graft = keras_graft.GraftCallback()
    trainer.fit(..., callbacks=[
        graft, keras_graft.grafting.ReestimateBatchNorm(graft, train[:2048])
    ])
    ```
    """

    def __init__(self, graft, images, batch_size=256):
        super().__init__()
        self.graft = graft
        self.images = images
        self.batch_size = batch_size

    def on_epoch_begin(self, epoch, logs=None):
        if not self.graft.is_due(epoch):
            return
        status = getattr(self.model, "status", None)
        for k, network in enumerate(self.model.networks):
            if status is None or status[k] == "live":
                reestimate_batch_norm(network, self.images, self.batch_size)
