import hashlib
import http.server
import io
import pathlib
import tarfile
import threading
import time

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds
from tfds_fixture import write_cifar100

from keras_graft.data import splits
from keras_graft.data import tfds_source
from keras_graft.data.tfds_source import DataUnavailableError

ARCHIVE = "cifar-100-binary.tar.gz"
CIFAR100_SHA256 = (
    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
)


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(tfds_source, "network_reaches", lambda url: False)


@pytest.fixture
def prepared(tmp_path):
    write_cifar100(tmp_path, train=60, test=20)
    return tmp_path


def directory(data_dir, name="cifar100"):
    return data_dir / name / "3.0.2"


def place_archive(data_dir, content):
    path = data_dir / "downloads" / "manual" / ARCHIVE
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def expect_archive(monkeypatch, size, sha256):
    (url,) = tfds.builder_cls("cifar100").url_infos
    info = tfds.core.download.checksums.UrlInfo(
        size=tfds.core.units.Size(size), checksum=sha256, filename=ARCHIVE
    )
    monkeypatch.setattr(tfds.builder_cls("cifar100"), "url_infos", {url: info})


def test_a_prepared_directory_is_read_without_the_network(
    prepared, monkeypatch
):
    monkeypatch.setattr(
        tfds_source, "network_reaches", lambda url: pytest.fail("asked")
    )
    loaded = splits.load("cifar100", prepared, validation_fraction=0)
    assert loaded.num_classes == 100
    assert loaded.train.images.shape == (60, 32, 32, 3)
    assert loaded.test.images.shape == (20, 32, 32, 3)
    # TFDS stores them shuffled; they are read in the order of their ids.
    np.testing.assert_array_equal(loaded.train.labels, np.arange(60))
    np.testing.assert_array_equal(loaded.test.labels, np.arange(20))


def test_the_images_are_the_ones_that_were_stored(prepared):
    rng = np.random.default_rng(0)
    colors = rng.integers(40, 216, size=(100, 1, 1, 3))
    train, _ = tfds_source.read("cifar100", prepared)
    means = train.images.mean(axis=(1, 2))
    assert np.abs(means - colors[:60, 0, 0]).max() < 8


def test_tfds_own_folder_is_used_where_none_is_named(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    train, _ = tfds_source.read("cifar100", None)
    assert len(train) == 60
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(prepared / "home"))
    write_cifar100(prepared / "home" / "tensorflow_datasets", 30, 10)
    train, _ = tfds_source.read("cifar100", None)
    assert len(train) == 30


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_absent_and_offline_names_three_remedies_at_once(
    name, tmp_path, offline
):
    (info,) = tfds.builder_cls(name).url_infos.values()
    start = time.monotonic()
    with pytest.raises(DataUnavailableError) as error:
        splits.load(name, tmp_path)
    assert time.monotonic() - start < 5
    message = str(error.value)
    assert f"copy a prepared {name}" in message
    assert str(directory(tmp_path, name)) in message
    archive = tmp_path / "downloads" / "manual" / info.filename
    assert f"by hand at {archive} ({int(info.size)} bytes" in message
    assert f"sha256 {info.checksum}" in message
    assert "go online" in message
    assert not list(tmp_path.iterdir())


def test_the_archive_expected_is_tfds_own(tmp_path, offline):
    with pytest.raises(DataUnavailableError, match="168513733 bytes") as error:
        splits.load("cifar100", tmp_path)
    assert CIFAR100_SHA256 in str(error.value)


def cifar100_archive(train, test):
    """An archive like the published one, of (coarse, fine, image) triples."""
    names = "\n".join(f"class {k}" for k in range(100)) + "\n"
    coarse_names = "\n".join(f"group {k}" for k in range(20)) + "\n"
    files = {
        "fine_label_names.txt": names.encode(),
        "coarse_label_names.txt": coarse_names.encode(),
    }
    for name, examples in (("train.bin", train), ("test.bin", test)):
        files[name] = b"".join(
            bytes([coarse, fine]) + image.transpose(2, 0, 1).tobytes()
            for coarse, fine, image in examples
        )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-100-binary/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_placed_by_hand_is_prepared_offline(
    tmp_path, offline, monkeypatch
):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
    examples = [(k % 20, 10 * k, image) for k, image in enumerate(images)]
    content = cifar100_archive(examples[:5], examples[5:])
    place_archive(tmp_path, content)
    expect_archive(
        monkeypatch, len(content), hashlib.sha256(content).hexdigest()
    )
    for _ in range(2):  # prepared first, then read as it is
        train, test = tfds_source.read("cifar100", tmp_path)
        np.testing.assert_array_equal(train.images, images[:5])
        np.testing.assert_array_equal(test.images, images[5:])
        np.testing.assert_array_equal(train.labels, [0, 10, 20, 30, 40])
        assert directory(tmp_path).exists()


def test_an_archive_of_the_wrong_size_is_named(tmp_path, offline):
    path = place_archive(tmp_path, b"partial")
    with pytest.raises(
        DataUnavailableError, match="expected 168513733 bytes, got 7"
    ) as error:
        splits.load("cifar100", tmp_path)
    assert f"Delete {path}" in str(error.value)
    assert not directory(tmp_path).exists()


def test_an_archive_with_another_checksum_is_named(
    tmp_path, offline, monkeypatch
):
    place_archive(tmp_path, b"partial")
    expect_archive(monkeypatch, 7, CIFAR100_SHA256)
    got = hashlib.sha256(b"partial").hexdigest()
    with pytest.raises(
        DataUnavailableError,
        match=f"expected sha256 {CIFAR100_SHA256}, got {got}",
    ):
        splits.load("cifar100", tmp_path)


def remove_info(path):
    (path / "dataset_info.json").unlink()


def halve_info(path):
    info = path / "dataset_info.json"
    info.write_text(info.read_text()[: info.stat().st_size // 2])


def replace_info(path):
    (path / "dataset_info.json").write_text("{}")


def remove_features(path):
    (path / "features.json").unlink()


def remove_test_file(path):
    next(path.glob("*test.tfrecord*")).unlink()


def halve_train_file(path):
    file = next(path.glob("*train.tfrecord*"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def keep_one_record(path):
    file = next(path.glob("*train.tfrecord*"))
    content = file.read_bytes()
    # A record: its length in 8 bytes, a checksum in 4, the data, another 4.
    length = int.from_bytes(content[:8], "little")
    file.write_bytes(content[: 12 + length + 4])


def empty_train_file(path):
    next(path.glob("*train.tfrecord*")).write_bytes(b"")


@pytest.mark.parametrize(
    "damage",
    [
        remove_info,
        halve_info,
        replace_info,
        remove_features,
        remove_test_file,
        halve_train_file,
        keep_one_record,
        empty_train_file,
    ],
)
def test_a_half_made_directory_is_to_be_deleted(prepared, damage, offline):
    damage(directory(prepared))
    start = time.monotonic()
    with pytest.raises(
        DataUnavailableError, match="Delete this directory"
    ) as e:
        splits.load("cifar100", prepared)
    assert time.monotonic() - start < 5
    assert str(directory(prepared)) in str(e.value)


def test_a_download_that_breaks_says_why_and_what_to_do(tmp_path, monkeypatch):
    def break_off(self, **kwargs):
        raise requests.ConnectionError("cable pulled")

    monkeypatch.setattr(tfds_source, "network_reaches", lambda url: True)
    monkeypatch.setattr(
        tfds.builder_cls("cifar100"), "download_and_prepare", break_off
    )
    with pytest.raises(DataUnavailableError, match="cable pulled") as error:
        splits.load("cifar100", tmp_path)
    assert "place the archive by hand" in str(error.value)


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(404 if "absent" in self.path else 200)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_the_probe_asks_the_server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.HTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert tfds_source.network_reaches(f"{url}/archive")
        assert not tfds_source.network_reaches(f"{url}/absent")
        server.shutdown()
        thread.join()
    assert not tfds_source.network_reaches(f"{url}/archive")


def test_the_probe_waits_for_no_name_server(monkeypatch):
    released = threading.Event()

    def hang(*args, **kwargs):
        released.wait(30)
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "head", hang)
    start = time.monotonic()
    assert not tfds_source.network_reaches("https://nowhere.invalid/")
    assert time.monotonic() - start < 5
    released.set()


def test_a_folder_given_relative_is_named_in_full(
    tmp_path, offline, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    expected = pathlib.Path(tmp_path, "here", "cifar100", "3.0.2")
    with pytest.raises(DataUnavailableError) as error:
        splits.load("cifar100", "here")
    assert str(expected) in str(error.value)
