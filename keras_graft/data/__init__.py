"""Images in, batches out.

| module | what it holds |
| --- | --- |
| `names` | the names of datasets, augmentations and kinds of batches |
| `digits`, `cifar10`, `cifar10_16`, `cifar100` | `read(data_dir)` each |
| `folder` | a folder of image files of one's own |
| `image_names` | which names are those of image files |
| `reading_options` | how image files are read |
| `npz` | arrays of one's own |
| `tfds` | any classification dataset of TFDS |
| `division` | which image is trained on, chosen by and tested on |
| `tfds_source` | how a TFDS dataset is found, prepared and read |
| `splits` | `load`: the training, validation and test images of a run |
| `order` | the order of an epoch, a function of seed and epoch |
| `augment` | augmentation of a batch, a function of images and seed |
| `randaugment` | RandAugment, a function of images and seed |
| `batch_views` | what each network sees of the images of a batch |
| `distinct` | what makes the images of a network others than its peers' |
| `pipeline` | the batches of a run as `tf.data` |
| `autotuning` | `tf.data` without its autotuning |
| `epoch_dataset` | data that says what each epoch holds |
| `epoch_ordered` | the same for your own arrays |

A dataset is added as one module with a function `read`, and its name in
`names`. The public names below are resolved on first use: TensorFlow is
imported only by those that need it.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_graft.data.epoch_ordered import EpochOrdered as EpochOrdered
    from keras_graft.data.order import permutation as permutation
    from keras_graft.data.order import steps_per_epoch as steps_per_epoch
    from keras_graft.data.pipeline import (
        evaluation_batches as evaluation_batches,
    )
    from keras_graft.data.pipeline import training_batches as training_batches
    from keras_graft.data.splits import Split as Split
    from keras_graft.data.splits import Splits as Splits
    from keras_graft.data.splits import load as load
    from keras_graft.data.tfds_source import (
        DataUnavailableError as DataUnavailableError,
    )

_HOMES = {
    "DataUnavailableError": "tfds_source",
    "EpochOrdered": "epoch_ordered",
    "Split": "splits",
    "Splits": "splits",
    "evaluation_batches": "pipeline",
    "load": "splits",
    "permutation": "order",
    "steps_per_epoch": "order",
    "training_batches": "pipeline",
}

__all__ = sorted(_HOMES)


if not TYPE_CHECKING:  # It would take any name for one of ours.

    def __getattr__(name: str):
        if name not in _HOMES:
            raise AttributeError(
                f"module {__name__!r} has no attribute {name!r}"
            )
        home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
        return getattr(home, name)


def __dir__() -> list[str]:
    return __all__
