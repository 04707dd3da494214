"""A disk that is full or read-only, for real."""

import contextlib
import subprocess

import numpy as np
import pytest

from keras_graft.checkpoint import files
from keras_graft.runs.whole_files import write_atomically


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted: {mounted.stderr.decode()}")
    yield path
    subprocess.run(["umount", path], check=True)


@contextlib.contextmanager
def read_only(path):
    subprocess.run(["mount", "-o", "remount,ro", path], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", path], check=True)


def write(folder, epoch):
    array = np.full(75_000, epoch, "float32")
    files.write_checkpoint(folder, epoch, {"weights": array}, {})


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_full_disk_leaves_the_checkpoints_and_no_temporary_file(small_disk):
    write(small_disk, 1)
    write(small_disk, 2)
    (small_disk / "filler").write_bytes(b"0" * 250_000)
    before = contents(small_disk)
    with pytest.raises(files.CheckpointWriteError) as error:
        write(small_disk, 3)
    assert "No space left" in str(error.value)
    assert "about 300000 bytes" in str(error.value)
    assert contents(small_disk) == before
    assert {p.name for p in small_disk.iterdir()} == {
        "epoch-000001",
        "epoch-000002",
        "filler",
    }
    (small_disk / "filler").unlink()
    write(small_disk, 3)
    assert files.newest_checkpoint(small_disk, print).epoch == 3


def test_full_disk_leaves_the_old_text_file(small_disk):
    path = small_disk / "history.csv"
    write_atomically(path, "epoch,loss\n")
    (small_disk / "filler").write_bytes(b"0" * 1_000_000)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "x" * 100_000)
    assert path.read_text() == "epoch,loss\n"
    assert len(list(small_disk.iterdir())) == 2


def test_read_only_disk_is_named_and_can_still_be_resumed_from(small_disk):
    write(small_disk, 1)
    with read_only(small_disk):
        with pytest.raises(files.CheckpointWriteError, match="Read-only"):
            write(small_disk, 2)
        with pytest.raises(files.CheckpointWriteError, match="Read-only"):
            files.check_writable(small_disk)
        assert files.newest_checkpoint(small_disk, print).epoch == 1


def test_read_only_disk_is_refused_before_anything_starts(small_disk):
    from keras_graft.runs.exit_codes import RunError
    from keras_graft.runs.run_directory import RunDirectory

    settings = type("Settings", (), {"resume": "auto", "epochs": 1})
    with read_only(small_disk), pytest.raises(RunError, match="--workdir"):
        RunDirectory(small_disk / "run").is_finished(settings, "")
