"""The files of a checkpoint, without a model."""

import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_graft.checkpoint import files


def arrays(value=1.0):
    return {
        "network_0/0000/kernel": np.full((3, 2), value, "float32"),
        "optimizer_0/0000/iteration": np.array(7, "int64"),
        "nan": np.array([np.nan, np.inf, -0.0]),
    }


def write(folder, *epochs):
    folder.mkdir(exist_ok=True)
    for epoch in epochs:
        files.write_checkpoint(
            folder, epoch, arrays(epoch), {"stopped": False, "epoch": epoch}
        )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def newest(folder):
    said = []
    return files.newest_checkpoint(folder, said.append), said


def test_checkpoint_comes_back_as_it_was(tmp_path):
    write(tmp_path, 3)
    found, said = newest(tmp_path)
    assert (found.epoch, said) == (3, [])
    assert found.state == {"stopped": False, "epoch": 3}
    assert found.arrays.keys() == arrays().keys()
    for name, array in arrays(3).items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].tobytes() == array.tobytes()


def test_two_are_kept(tmp_path):
    write(tmp_path, 1, 2, 3, 4)
    assert names(tmp_path) == ["epoch-000003", "epoch-000004"]


def test_no_folder_is_no_checkpoint(tmp_path):
    assert newest(tmp_path / "nothing") == (None, [])


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["arrays.npz", "state.json", "manifest.json"])
@pytest.mark.parametrize("harm", [truncate, flip_a_bit, os.unlink])
def test_damaged_one_is_named_and_the_one_before_it_is_used(
    tmp_path, name, harm
):
    write(tmp_path, 1, 2)
    harm(tmp_path / "epoch-000002" / name)
    found, said = newest(tmp_path)
    assert found.epoch == 1
    assert len(said) == 1
    assert str(tmp_path / "epoch-000002") in said[0]
    assert "Using epoch-000001" in said[0]


def test_none_that_can_be_read_is_an_error_and_files_stay(tmp_path):
    write(tmp_path, 1, 2)
    for folder in tmp_path.iterdir():
        truncate(folder / "arrays.npz")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(files.CheckpointError, match="left as they are"):
        newest(tmp_path)
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert before == after


def test_renamed_checkpoint_is_noticed(tmp_path):
    write(tmp_path, 1)
    os.rename(tmp_path / "epoch-000001", tmp_path / "epoch-000009")
    with pytest.raises(files.CheckpointError, match="of epoch 1"):
        newest(tmp_path)


def test_other_format_is_refused_by_name(tmp_path):
    write(tmp_path, 1)
    manifest = tmp_path / "epoch-000001" / "manifest.json"
    content = json.loads(manifest.read_text()) | {"format": 99}
    manifest.write_text(json.dumps(content))
    with pytest.raises(files.CheckpointError, match="format 99"):
        newest(tmp_path)


def test_damaged_one_is_replaced_when_its_epoch_is_repeated(tmp_path):
    write(tmp_path, 1, 2)
    truncate(tmp_path / "epoch-000002" / "state.json")
    write(tmp_path, 2)
    assert newest(tmp_path)[0].epoch == 2
    assert names(tmp_path) == ["epoch-000001", "epoch-000002"]


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    write(tmp_path, 1)
    shutil.copytree(tmp_path / "epoch-000001", tmp_path / ".epoch-1.77.tmp")
    shutil.copytree(tmp_path / "epoch-000001", tmp_path / ".epoch-1.77.old")
    (tmp_path / ".mine.tmp").mkdir()
    files.remove_stale(tmp_path)
    assert names(tmp_path) == [".mine.tmp", "epoch-000001"]


@pytest.mark.parametrize("manifest", [None, "precious", "{}", "of epoch 7"])
def test_text_of_a_user_that_is_named_as_ours_stays(tmp_path, caplog, manifest):
    """Names alone say nothing of whose a file is."""
    write(tmp_path, 7)
    texts = []
    for name in ("epoch-000000", "epoch-000003", ".epoch-000003.77.old"):
        folder = tmp_path / name
        folder.mkdir()
        texts.append(folder / "state.json")
        texts[-1].write_text("precious")
        if manifest == "of epoch 7":
            shutil.copy(tmp_path / "epoch-000007" / "manifest.json", folder)
        elif manifest is not None:
            (folder / "manifest.json").write_text(manifest)
    files.remove_stale(tmp_path)
    files.keep_newest(tmp_path, 9)
    files.remove_all(tmp_path)
    assert [text.read_text() for text in texts] == ["precious"] * 3
    assert not (tmp_path / "epoch-000007").exists()
    # An epoch that is trained once more is written nevertheless.
    for n in range(2):
        shutil.copytree(
            tmp_path / "epoch-000000",
            tmp_path / "epoch-000003",
            dirs_exist_ok=True,
        )
        write(tmp_path, 3)
        assert newest(tmp_path)[0].epoch == 3
        kept = tmp_path / f"epoch-000003.kept-{n}"
        assert (kept / "state.json").read_text() == "precious"
        assert f"it is kept as {kept.name}" in caplog.text
        shutil.rmtree(tmp_path / "epoch-000003")


def test_pipe_for_a_manifest_is_not_waited_for(tmp_path):
    write(tmp_path, 1)
    (tmp_path / "epoch-000001" / "manifest.json").unlink()
    os.mkfifo(tmp_path / "epoch-000001" / "manifest.json")
    with pytest.raises(files.CheckpointError, match="a named pipe, not a file"):
        newest(tmp_path)


def test_leftover_that_holds_things_of_others_stays(tmp_path):
    write(tmp_path, 1)
    mine = tmp_path / ".keras_graft-epoch-000002.77.tmp"
    mine.mkdir()
    (mine / "state.json").touch()
    notes = tmp_path / ".keras_graft-epoch-000003.77.tmp"
    notes.mkdir()
    (notes / "notes.txt").touch()
    (tmp_path / ".keras_graft-epoch-000004.77.tmp").symlink_to(notes)
    files.remove_stale(tmp_path)
    assert not mine.exists()
    assert (notes / "notes.txt").exists()


def test_folder_of_another_that_is_named_alike_stays(tmp_path):
    for epoch in (1, 2):
        (tmp_path / f"epoch-00000{epoch}" / "photos").mkdir(parents=True)
    write(tmp_path, 3, 4, 5)
    assert names(tmp_path) == [
        "epoch-000001",
        "epoch-000002",
        "epoch-000004",
        "epoch-000005",
    ]
    (tmp_path / "epoch-000006" / "photos").mkdir(parents=True)
    with pytest.raises(
        files.CheckpointWriteError, match="epoch-000006 holds other things"
    ):
        write(tmp_path, 6)
    assert (tmp_path / "epoch-000006" / "photos").is_dir()
    assert not [name for name in names(tmp_path) if name[0] == "."]


@pytest.mark.parametrize("call", range(1, 6))
def test_failing_write_leaves_the_one_before_it(tmp_path, monkeypatch, call):
    write(tmp_path, 1)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    count = 0
    original = os.fsync

    def failing(descriptor):
        nonlocal count
        count += 1
        if count == call:
            raise OSError(28, "No space left on device")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(files.CheckpointWriteError, match="free"):
        write(tmp_path, 2)
    assert all(p.read_bytes() == data for p, data in before.items())
    assert not [name for name in names(tmp_path) if name[0] == "."]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_damage_is_loaded_silently(tmp_path, data):
    folder = tmp_path / "fuzz"
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, 1)
    path = folder / "epoch-000001"
    file = path / data.draw(
        st.sampled_from(["arrays.npz", "state.json", "manifest.json"])
    )
    content = bytearray(file.read_bytes())
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(start + 20, len(content))))
    content[start:end] = data.draw(st.binary(max_size=20))
    file.write_bytes(content)
    try:
        found = files.read_checkpoint(path)
    except files.CheckpointError as error:
        assert str(path) in str(error)
        return
    assert found.state == {"stopped": False, "epoch": 1}
    for name, array in arrays(1).items():
        assert found.arrays[name].tobytes() == array.tobytes()
