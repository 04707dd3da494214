"""Datasets of TensorFlow Datasets (TFDS), read into memory.

A prepared directory is used first, then an archive that was placed by hand;
only then, and only where the network answers, is anything downloaded: TFDS
alone would try for minutes in silence before it gave up.
"""

import hashlib
import os
import pathlib
import threading

import numpy as np

from keras_graft.checks import packages
from keras_graft.data.splits import Split

_PROBE_SECONDS = 4.0


class DataUnavailableError(Exception):
    """The data is not there and cannot be had; the message says what to do."""


def read(name: str, data_dir: str | None) -> tuple[Split, Split]:
    """Reads the images of a TFDS dataset with `id`, `image` and `label`.

    Args:
        name: TFDS' name of the dataset, which comes as one archive.
        data_dir: Folder of the prepared datasets; None for TFDS' own, which
            is the environment variable TFDS_DATA_DIR or
            ~/tensorflow_datasets.

    Returns:
        The training and the test split, each in the order of the ids: the
        same however many files the dataset was prepared in.

    Raises:
        DataUnavailableError: If the dataset is absent and cannot be prepared,
            or if what was found is damaged.
    """
    packages.require(f"The dataset {name}", packages.TFDS)
    import tensorflow_datasets as tfds

    root = root_of(data_dir)
    dataset = tfds.builder_cls(name)
    prepared = root / name / str(dataset.VERSION)
    if not prepared.exists():
        _prepare(dataset, root, prepared)
    builder = _open(dataset, root, prepared)
    return (
        _read_split(builder, "train", prepared),
        _read_split(builder, "test", prepared),
    )


def root_of(data_dir: str | None) -> pathlib.Path:
    """The folder of the prepared datasets; see `read`."""
    # The same rule as TFDS', which would answer only after a builder is made;
    # and a builder on a damaged directory fails without naming it.
    if data_dir is None:
        data_dir = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return pathlib.Path(data_dir).expanduser().absolute()


def _prepare(dataset: type, root: pathlib.Path, prepared: pathlib.Path) -> None:
    """Makes the prepared directory from the archive."""
    import tensorflow_datasets as tfds

    ((url, expected),) = dataset.url_infos.items()
    manual_dir = root / "downloads" / "manual"
    archive = manual_dir / expected.filename
    remedies = (
        "Do one of these:\n"
        f"  1. copy a prepared {dataset.name} from another machine to "
        f"{prepared}, or name the folder it is in as data_dir;\n"
        f"  2. place the archive by hand at {archive} ({int(expected.size)} "
        f"bytes, sha256 {expected.checksum});\n"
        f"  3. go online and start again: {url} is then downloaded."
    )
    if archive.exists():
        _check_archive(archive, int(expected.size), expected.checksum)
    elif not network_reaches(url):
        raise DataUnavailableError(
            f"{dataset.name} is not prepared in {root}, and {url} does not "
            f"answer. {remedies}"
        )
    try:
        dataset(data_dir=root).download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
        )
    # TFDS raises errors of many kinds here, plain Exception among them: no
    # room on the disk, a folder that may not be written, a broken download.
    except Exception as error:
        raise DataUnavailableError(
            f"{dataset.name} could not be prepared in {root}: {error}\n"
            f"{remedies}"
        ) from error


def _check_archive(archive: pathlib.Path, size: int, sha256: str) -> None:
    advice = f"Delete {archive} or place the whole archive there."
    found = archive.stat().st_size
    if found != size:
        raise DataUnavailableError(
            f"{archive} is not the archive: expected {size} bytes, got "
            f"{found}. {advice}"
        )
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise DataUnavailableError(
            f"{archive} is not the archive: expected sha256 {sha256}, got "
            f"{digest}. {advice}"
        )


def network_reaches(url: str) -> bool:
    """Whether a server answers for `url`, told within five seconds."""
    # TFDS downloads with requests too: proxies and certificates that serve
    # the one serve the other.
    import requests

    answers = []

    def ask():
        try:
            answer = requests.head(url, timeout=3, allow_redirects=True)
        except requests.RequestException:
            return
        answers.append(answer.ok)

    # In a thread, since looking up a name heeds no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return answers == [True]


def _open(dataset: type, root: pathlib.Path, prepared: pathlib.Path):
    """The TFDS builder of a prepared directory."""
    # Without them TFDS would make a builder that knows of no images.
    for name in ("dataset_info.json", "features.json"):
        if not (prepared / name).exists():
            raise damaged(prepared, f"{name} is missing")
    try:
        return dataset(data_dir=root)
    # What is no JSON, or JSON of something else: errors of many kinds.
    except Exception as error:
        raise damaged(prepared, f"dataset_info.json: {error}") from error


def damaged(prepared: pathlib.Path, why: str) -> DataUnavailableError:
    """What is raised for a prepared directory that cannot be read."""
    return DataUnavailableError(
        f"The prepared dataset in {prepared} is incomplete or damaged "
        f"({why}). Delete this directory and start again."
    )


def _read_split(builder, name: str, prepared: pathlib.Path) -> Split:
    import tensorflow_datasets as tfds

    try:
        dataset = builder.as_dataset(
            split=name,
            batch_size=1024,
            shuffle_files=False,
            read_config=tfds.ReadConfig(try_autocache=False),
        )
        parts = list(dataset.as_numpy_iterator())
        columns = {
            key: np.concatenate([part[key] for part in parts])
            for key in ("id", "image", "label")
        }
    # A split or file that is missing, cut short or has too few images (TFDS
    # counts them): errors of many kinds, with one remedy.
    except Exception as error:
        raise damaged(prepared, f"{name} split: {error}") from error
    order = np.argsort(columns["id"], kind="stable")
    return Split(
        columns["image"][order], columns["label"][order].astype(np.int32)
    )
