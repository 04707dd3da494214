"""Any classification dataset of TFDS, by its name.

Images stay encoded in the prepared files, and are read from there as those of
a folder are: sizes may differ, and the memory is bounded.
"""

import dataclasses
import difflib
import os
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

from keras_graft.checks import packages
from keras_graft.data.folder.layout import ImageFile
from keras_graft.data.folder.layout import Layout
from keras_graft.data.folder.reading import read_images
from keras_graft.data.splits import Splits
from keras_graft.data.tfds_source import DataUnavailableError
from keras_graft.data.tfds_source import damaged
from keras_graft.data.tfds_source import network_reaches
from keras_graft.data.tfds_source import root_of

_SPLITS = ("train", "validation", "test")
# Where TFDS looks for what it knows about datasets.
_TFDS_HOST = "https://storage.googleapis.com/tfds-data"
# A record: length of the content, checksum of that, content, checksum.
_LENGTH = struct.Struct("<Q")
_CHECKSUM_BYTES = 4


def read(name: str, data_dir: str | None = None, **reading: Any) -> Splits:
    """Reads a dataset with an image and a class for each example.

    A test split without classes, as ImageNet's, is not used; a missing one is
    replaced as that of a folder is.

    Args:
        name: TFDS' name of the dataset, as `beans` or `cats_vs_dogs:4.0.1`.
        data_dir: As of `splits.load`.
        **reading: As of `folder.reading.read_images`.

    Raises:
        ValueError: If TFDS does not know it, or it is of another kind.
        DataUnavailableError: If it is absent and cannot be prepared, or
            damaged.
    """
    packages.require(f"The dataset tfds:{name}", packages.TFDS)
    import tensorflow_datasets as tfds

    root = root_of(data_dir)
    try:
        builder = tfds.builder(name, data_dir=root)
    except tfds.core.DatasetNotFoundError as error:
        bare = name.partition(":")[0].partition("/")[0]
        near = difflib.get_close_matches(bare, tfds.list_builders(), n=1)
        hint = f" Did you mean tfds:{near[0]}?" if near else ""
        raise ValueError(
            f"TFDS knows no dataset {name!r}, and {root} holds none of that "
            f"name.{hint}"
        ) from error
    # Bad versions and configurations, and damaged folders: of many kinds.
    except Exception as error:
        raise ValueError(
            f"TFDS cannot make the dataset {name!r} in {root}: {error}"
        ) from error
    # Before anything is downloaded that would be of no use.
    image, label = _features(builder)
    if not builder.info.splits:
        _prepare(builder, root)
    _refuse_other_formats(builder)
    class_names = tuple(builder.info.features[label].names)
    files, sources = [], {}
    for split in _SPLITS:
        if split not in builder.info.splits:
            continue
        for i, (record, k) in enumerate(_records(builder, split, image, label)):
            if k < 0:
                continue  # Nobody tells what it shows.
            file = ImageFile(split, class_names[k], f"{split}/{i:07d}")
            files.append(file)
            sources[file.name] = record
    layout = Layout(
        pathlib.Path(builder.data_path), tuple(files), class_names, {}
    )
    return read_images(layout, sources, refuse=_refuse_untrained, **reading)


def _refuse_untrained(layout):
    if not any(file.split == "train" for file in layout.files):
        raise ValueError(f"{layout.root} has no image in its train split.")


def _prepare(builder, root):
    where = builder.data_path
    manual = getattr(builder, "MANUAL_DOWNLOAD_INSTRUCTIONS", None)
    urls = list(getattr(type(builder), "url_infos", None) or [_TFDS_HOST])
    remedies = (
        "Do one of these:\n"
        f"  1. copy a prepared {builder.name} from another machine to {where}, "
        "or name the folder that it is in as data_dir;\n"
    )
    if manual:
        remedies += (
            f"  2. place its archives in {root / 'downloads' / 'manual'}: "
            f"{' '.join(manual.split())}"
        )
    else:
        remedies += f"  2. go online and start again: {urls[0]} is then read."
        if not network_reaches(urls[0]):
            raise DataUnavailableError(
                f"{builder.name} is not prepared in {root}, and {urls[0]} does "
                f"not answer. {remedies}"
            )
    try:
        builder.download_and_prepare()
    # TFDS raises errors of many kinds here, plain Exception among them.
    except Exception as error:
        raise DataUnavailableError(
            f"{builder.name} could not be prepared in {root}: {error}\n"
            f"{remedies}"
        ) from error


def _features(builder):
    """The names of the image and of the class."""
    import tensorflow_datasets as tfds

    keys = builder.info.supervised_keys
    features = builder.info.features
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    fits = (
        keys is not None
        and len(keys) == 2
        and all(
            isinstance(key, str) and isinstance(features[key], kind)
            for key, kind in zip(keys, kinds, strict=True)
        )
    )
    if not fits:
        raise ValueError(
            f"tfds:{builder.name} has no image with one class to each example: "
            f"its supervised_keys are {keys}. Take another dataset."
        )
    return keys


def _refuse_other_formats(builder):
    if builder.info.file_format.value != "tfrecord":
        raise ValueError(
            f"{builder.data_path} is prepared as "
            f"{builder.info.file_format.value}. Prepare it as tfrecord."
        )


@dataclasses.dataclass(frozen=True)
class _Record:
    """An encoded image in a file of records.

    Attributes:
        path: The file.
        start: Where the content of the record is.
        length: How long it is.
        image: Name of the image in it.
    """

    path: str
    start: int
    length: int
    image: str

    def read(self) -> bytes:
        """The encoded image."""
        with open(self.path, "rb") as file:
            file.seek(self.start)
            content = _parse(file.read(self.length))
        return content[self.image].bytes_list.value[0]

    def __str__(self) -> str:
        return f"{self.path} at byte {self.start}"


def _records(
    builder: Any, split: str, image: str, label: str
) -> Iterator[tuple[_Record, int]]:
    """The records of a split with their classes, in the order of its files."""
    found = 0
    paths = [os.fspath(p) for p in builder.info.splits[split].filepaths]
    try:
        for path in paths:
            for record, content in _contents(path, image):
                yield record, int(content[label].int64_list.value[0])
                found += 1
    # A file that is missing, cut short or of something else.
    except Exception as error:
        raise damaged(
            pathlib.Path(builder.data_path), f"{split} split: {error}"
        ) from error
    expected = builder.info.splits[split].num_examples
    if found != expected:
        raise damaged(
            pathlib.Path(builder.data_path),
            f"{split} split: {found} images, where {expected} are expected",
        )


def _contents(path, image):
    with open(path, "rb") as file:
        while head := file.read(_LENGTH.size):
            (length,) = _LENGTH.unpack(head)
            start = file.seek(_CHECKSUM_BYTES, os.SEEK_CUR)
            content = file.read(length)
            if len(content) < length:
                raise EOFError(f"{path} is cut short")
            file.seek(_CHECKSUM_BYTES, os.SEEK_CUR)
            yield _Record(path, start, length, image), _parse(content)


def _parse(content):
    import tensorflow as tf

    return tf.train.Example.FromString(content).features.feature
