"""Arrays of one's own in a `.npz` file, as `numpy.savez` writes it."""

import numpy as np

from keras_graft.checks.plain_files import refuse_other_kind
from keras_graft.data.division import divide
from keras_graft.data.splits import Split
from keras_graft.data.splits import Splits
from keras_graft.data.splits import pixel_statistics
from keras_graft.data.tfds_source import DataUnavailableError

# Names of the arrays by split; None: the file leaves the splits open.
_ARRAYS = {
    "train": ("x_train", "y_train"),
    "validation": ("x_val", "y_val"),
    "test": ("x_test", "y_test"),
    None: ("x", "y"),
}
_NAMES = "class_names"
_FORM = (
    "Save images as uint8 of shape (n, height, width, channels), pixels 0 to "
    "255, and a class for each: numpy.savez(FILE, x_train=..., y_train=..., "
    "x_test=..., y_test=...), with x_val and y_val if you have them, or x and "
    "y alone. class_names may name the classes."
)


def read(
    path: str,
    *,
    train_examples: int | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> Splits:
    """Reads a file of arrays.

    Args:
        path: The file. Images are `x_train`, `x_val` and `x_test`, or `x`;
            their classes `y_train` ... are whole numbers from 0, or names.
        train_examples: As of `splits.load`.
        validation_fraction: Likewise; what is missing of the splits is drawn
            as for a folder of images.
        seed: Likewise.

    Raises:
        ValueError: If the file holds something else, or too little.
        DataUnavailableError: If there is no such file.
    """
    arrays = _load(path)
    images, classes, given = [], [], []
    for split, (x, y) in _ARRAYS.items():
        if x not in arrays and y not in arrays:
            continue
        _check_pair(path, x, arrays.get(x), y, arrays.get(y))
        images.append(_with_channels(arrays[x]))
        classes.append(arrays[y].reshape(-1))
        given += [split] * len(images[-1])
    if not ({"train", None} & set(given)) or {"train", None} <= set(given):
        raise ValueError(
            f"{path} must hold either x_train or x, and one image in it at "
            f"least. It holds {', '.join(sorted(arrays)) or 'nothing'}. {_FORM}"
        )
    shapes = {array.shape[1:] for array in images}
    if len(shapes) > 1:
        raise ValueError(
            f"{path} must hold images of one shape. It holds images of "
            f"{' and '.join(map(str, sorted(shapes)))}."
        )
    labels, class_names = _labels(
        path, np.concatenate(classes), arrays.get(_NAMES)
    )
    division = divide(
        path,
        given,
        class_names or [str(k) for k in range(labels.max() + 1)],
        labels,
        train_examples=train_examples,
        validation_fraction=validation_fraction,
        seed=seed,
    )
    everything = Split(np.concatenate(images), labels)
    train = everything.take(division.train)
    mean, std = pixel_statistics(train.images)
    return Splits(
        name=path,
        train=train,
        validation=(
            None
            if division.validation is None
            else everything.take(division.validation)
        ),
        test=everything.take(division.test),
        num_classes=len(class_names or []) or int(labels.max()) + 1,
        pixel_mean=mean,
        pixel_std=std,
        class_names=class_names,
        notes=division.notes,
    )


def _load(path):
    try:
        # A pipe would be waited for.
        refuse_other_kind(path)
        # Opened here, for NumPy does not close what it cannot read.
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise ValueError("it is one array, not an archive of them")
            return {name: loaded[name] for name in loaded.files}
    except FileNotFoundError as error:
        raise DataUnavailableError(
            f"There is no file {path}. {_FORM}"
        ) from error
    # A damaged archive, compression, header or array: errors of many kinds.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(
            f"{path} cannot be read as arrays: {reason}. {_FORM}"
        ) from error


def _check_pair(path, x, images, y, labels):
    """Refuses images and classes that do not go together."""
    if images is None or labels is None:
        there, missing = (x, y) if labels is None else (y, x)
        raise ValueError(f"{path} holds {there}, but no {missing}. {_FORM}")
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(
            f"{path} holds {x} of {images.dtype} and shape {images.shape}. "
            f"{_FORM} Pixels from 0 to 1 become so by "
            "numpy.rint(255 * x).astype('uint8')."
        )
    if not images.size:
        raise ValueError(f"{path} holds {x} of shape {images.shape}: no image.")
    known = labels.dtype.kind in "iuU"
    if not known or labels.reshape(-1).shape != images.shape[:1]:
        raise ValueError(
            f"{path} holds {y} of {labels.dtype} and shape {labels.shape} "
            f"beside {len(images)} images. There must be one whole number from "
            "0, or one name, to an image."
        )


def _with_channels(images):
    return images[..., np.newaxis] if images.ndim == 3 else images


def _labels(path, classes, named):
    """Class numbers, int32, and the names of the classes, or None."""
    names = None if named is None else tuple(map(str, named.reshape(-1)))
    if classes.dtype.kind == "U":
        names = names or tuple(np.unique(classes).tolist())
        position = {name: i for i, name in enumerate(names)}
        unknown = sorted(set(classes.tolist()) - set(names))
        if unknown:
            raise ValueError(
                f"{path} has classes that its class_names do not name: "
                f"{', '.join(unknown)}."
            )
        classes = np.array([position[name] for name in classes.tolist()])
    low, high = classes.min(), classes.max()
    allowed = np.iinfo(np.int32).max if names is None else len(names) - 1
    if low < 0 or high > allowed:
        raise ValueError(
            f"{path} has classes from {low} to {high}, where 0 to {allowed} "
            "are allowed."
        )
    if (high + 1 if names is None else len(names)) < 2:
        raise ValueError(
            f"{path} has one class. There must be two or more to tell apart."
        )
    return classes.astype(np.int32), names
