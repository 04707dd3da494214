"""A folder of one's own images, from the command to the shipped file."""

import csv
import json
import os
import pathlib
import shutil
import signal
import sys

import keras
import numpy as np
import pytest
import yaml
from launching import launch_here
from PIL import Image

from keras_graft.checkpoint import files
from keras_graft.runs import callbacks
from keras_graft.runs import run as one_run
from keras_graft.runs.named_errors import lost_images_named
from keras_graft.runs.signals import Interrupted

sys.path.append(str(pathlib.Path(__file__).parent / "data"))

from image_folders import write_classes  # noqa: E402
from image_folders import write_image  # noqa: E402

SMALL = (
    "--num_networks=2",
    "--batch_size=16",
    "--learning_rate=0.05",
    "--augment=resized_crop",
    "--epochs=5",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on three classes that are told apart by their brightness."""
    folder = tmp_path_factory.mktemp("folder")
    counts = {"dark": 30, "mid <b>": 30, "öl": 30}
    images = write_classes(folder / "my images", counts, suffix=".jpg")
    (images / "dark" / "notes.txt").touch()
    arguments = (
        *SMALL,
        f"--dataset=folder:{images}",
        "--image_size=8",
        f"--workdir={folder / 'run'}",
    )
    assert launch_here(*arguments) == (0, "")
    return folder, arguments


def test_names_of_classes_are_in_results_report_and_beside_the_network(trained):
    run = trained[0] / "run"
    names = ["dark", "mid <b>", "öl"]
    assert (
        json.loads((run / "results.json").read_text())["class_names"] == names
    )
    beside = json.loads((run / "classes.json").read_text())
    assert beside == {"class_names": names, "resize": "crop", "whole": True}
    assert (
        "<li>mid &lt;b&gt;</li><li>öl</li>" in (run / "report.html").read_text()
    )


def test_card_lies_beside_what_ships_and_its_lines_run(trained, monkeypatch):
    run = trained[0] / "run"
    text = (run / "card.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    (metric,) = front["model-index"][0]["results"][0]["metrics"]
    accuracy = json.loads((run / "results.json").read_text())["test_accuracy"]
    assert metric["value"] == pytest.approx(accuracy, abs=1e-4)
    assert "0. dark\n1. mid \\<b\\>\n2. öl\n" in text
    monkeypatch.chdir(run)
    names = {"images": np.zeros((2, 8, 8, 3), "uint8")}
    exec(text.split("```python\n")[1].split("```")[0], names)
    np.testing.assert_allclose(
        names["probabilities"].numpy().sum(axis=-1), 1, rtol=1e-6
    )


def test_shipped_network_knows_the_images_by_name(trained):
    folder, _ = trained
    names = json.loads((folder / "run/classes.json").read_text())["class_names"]
    shipped = keras.models.load_model(folder / "run" / "shipped.keras")
    with open(folder / "run" / "images.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    tests = [row for row in rows if row["split"] == "test"]
    assert len(rows) == 90 and len(tests) == 18
    images = np.stack(
        [
            Image.open(folder / "my images" / row["name"]).resize(
                (8, 8), Image.Resampling.BILINEAR
            )
            for row in tests
        ]
    )
    found = [names[i] for i in shipped.predict(images, verbose=0).argmax(-1)]
    right = np.mean([n == r["class_name"] for n, r in zip(found, tests)])
    accuracy = json.loads((folder / "run/results.json").read_text())
    assert right == pytest.approx(accuracy["test_accuracy"])
    assert right > 0.5


@pytest.mark.slow
def test_stopped_run_ends_with_the_bits_of_an_uninterrupted_one(
    trained, monkeypatch, capsys
):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            # In the middle of the third epoch.
            if batch == 2 and (checkpoints / "epoch-000002").exists():
                os.kill(os.getpid(), signal.SIGTERM)

    def more(*arguments):
        made, monitor = make_callbacks(*arguments)
        return [*made, Stop()], monitor

    folder, arguments = trained
    again = (*arguments, f"--workdir={folder / 'killed'}")
    checkpoints = folder / "killed" / "checkpoints"
    make_callbacks = callbacks.make_callbacks
    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "make_callbacks", more)
        with pytest.raises(Interrupted):
            launch_here(*again, "--cache=disk")
    assert "kept in a file below" in capsys.readouterr().out
    assert not (checkpoints / "epoch-000003").exists()
    # Where decoded images are kept makes no difference.
    assert launch_here(*again, "--cache=none") == (0, "")
    assert "Resumed after epoch 2 of 5" in capsys.readouterr().out
    whole, killed = folder / "run", folder / "killed"
    for name in ("history.csv", "coefficients.csv", "images.csv"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes()
    left, right = (
        files.newest_checkpoint(run / "checkpoints", pytest.fail)
        for run in (whole, killed)
    )
    assert left.epoch == right.epoch == 5
    assert left.arrays.keys() == right.arrays.keys()
    for name in left.arrays:
        np.testing.assert_array_equal(left.arrays[name], right.arrays[name])


@pytest.mark.parametrize("split", ["train", "test"])
def test_image_that_is_gone_while_it_trains_is_named(
    trained, tmp_path, monkeypatch, split
):
    folder, (*arguments, _) = trained
    shutil.copytree(folder / "run", tmp_path / "run")
    # Test images are read when all is trained, here too.
    longer = "--epochs=6"
    if split == "test":
        longer = "--epochs=5"
        (tmp_path / "run" / "results.json").unlink()
    lost = []

    def take_one_away(*arguments):
        task = read_task(*arguments)
        name = next(f.name for f in task.files if f.split == split)
        lost.append(folder / "my images" / name)
        shutil.move(lost[0], tmp_path / "aside.jpg")
        return task

    read_task = one_run._task
    monkeypatch.setattr(one_run, "_task", take_one_away)
    again = (*arguments, longer, "--cache=none")
    code, message = launch_here(*again, f"--workdir={tmp_path / 'run'}")
    shutil.move(tmp_path / "aside.jpg", lost[0])
    assert (code, f"{lost[0]}: No such file" in message) == (1, True)
    assert "goes on from the newest checkpoint" in message


def test_run_goes_on_with_the_same_images_only(trained, tmp_path):
    folder, arguments = trained
    images = folder / "my images"
    longer = (*arguments, "--epochs=6")
    aside = tmp_path / "aside.jpg"
    shutil.move(images / "dark" / "003.jpg", aside)
    write_image(images / "dark" / "new.jpg", side=12)
    shutil.copy(images / "öl" / "000.jpg", images / "öl" / "001.jpg")
    code, message = launch_here(*longer)
    assert code == 1
    assert "have changed since it began" in message
    assert "1 new: dark/new.jpg" in message
    assert "1 gone: dark/003.jpg" in message
    assert "1 with other pixels: öl/001.jpg" in message
    assert "another --workdir" in message


@pytest.mark.parametrize(
    "counts, arguments, code, message",
    [
        ({"a": 9}, (), 1, "holds one class, 'a', of 9 images"),
        ({"a": 1}, (), 1, "holds one class, 'a', of 1 images"),
        ({"a": 9, "b": 0}, (), 1, "no image of 'b'"),
        ({"a": 9, "b": 9}, ("--batch_size=40",), 1, "batch larger than the"),
        ({}, ("--dataset=folder:/no such folder",), 3, "Name a folder"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_before_anything_is_made(
    tmp_path, counts, arguments, code, message
):
    write_classes(tmp_path / "images", counts)
    ended = launch_here(
        *SMALL,
        f"--dataset=folder:{tmp_path / 'images'}",
        f"--workdir={tmp_path / 'run'}",
        *arguments,
    )
    assert ended[0] == code
    assert message in ended[1]
    assert not (tmp_path / "run").exists()


def test_classes_of_different_sizes_can_weigh_the_same(tmp_path):
    images = write_classes(tmp_path / "images", {"few": 8, "many": 72})
    arguments = (
        "--num_networks=1",
        f"--dataset=folder:{images}",
        "--batch_size=16",
        "--learning_rate=0.02",
        "--epochs=3",
        "--class_balance=weight",
        "--swa_start=0.5",
        f"--workdir={tmp_path / 'run'}",
    )
    assert launch_here(*arguments) == (0, "")
    flags_text = (tmp_path / "run" / "flags.txt").read_text()
    assert "--class_balance=weight\n" in flags_text


def test_runs_on_other_data_need_no_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_graft.data.folder.image_file", None)
    with lost_images_named():
        pass
