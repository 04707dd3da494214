"""Runs of recognition, from flags to embeddings."""

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
from PIL import Image

from keras_graft import flags
from keras_graft import models
from keras_graft import recognition
from keras_graft.checkpoint import files
from keras_graft.runs import callbacks
from keras_graft.runs import recognition_recipe
from keras_graft.runs.exit_codes import DATA_UNAVAILABLE
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.signals import Interrupted

sys.path.append(str(pathlib.Path(__file__).parents[1]))

from launching import launch_here  # noqa: E402

SMALL = (
    "--task=recognition",
    "--image_shape=8x8",
    "--epochs=3",
    "--batch_size=8",
    "--learning_rate=0.05",
    "--validation_fraction=0.4",
)
ALL = (
    *SMALL,
    "--num_networks=2",
    "--images_per_identity=2",
    "--metric_loss=triplet",
    "--label_smoothing=0.1",
    "--pooling=generalized_mean",
    "--last_stride_1",
    "--similarity_weight=1",
    "--warmup_epochs=1",
    "--pad=1",
    "--flip",
    "--erasing=0.5",
)
IMAGES = {"bounding_box_train": 4, "query": 1, "bounding_box_test": 2}


def people(root, train=range(1, 9), judged=range(11, 15)):
    """Market's layout; where an image is bright tells its identity."""
    rng = np.random.default_rng(0)
    for folder, count in IMAGES.items():
        (root / folder).mkdir(parents=True)
        train_part = folder == "bounding_box_train"
        for identity in train if train_part else judged:
            for n in range(count):
                camera = n + 1 if folder != "bounding_box_test" else n + 2
                pixels = rng.integers(0, 120, (8, 8, 3), np.uint8)
                pixels[identity % 8, :, identity % 3] += 120
                name = f"{identity:04}_c{camera}s1_{n:06}_00.png"
                Image.fromarray(pixels).save(root / folder / name)
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two networks on eight identities, three of which choose the best."""
    folder = tmp_path_factory.mktemp("recognition")
    dataset = f"--dataset=market1501:{people(folder / 'people')}"
    assert launch_here(*ALL, dataset, f"--workdir={folder / 'run'}") == (0, "")
    return folder, (*ALL, dataset)


def of_run(folder):
    return json.loads((folder / "run" / "results.json").read_text())


def columns(folder):
    with open(folder / "run" / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def test_plain_keras_finds_what_the_results_say(trained):
    folder, _ = trained
    found = of_run(folder)
    network = keras.models.load_model(folder / "run" / "shipped.keras")
    data = recognition.load("market1501", folder / "people", (8, 8))
    sides = [
        (network.predict(part.images, verbose=0), part.ids, part.cameras)
        for part in (data.query, data.gallery)
    ]
    assert sides[0][0].shape == (4, 64) == (4, found["output"]["size"])
    metrics = recognition.retrieval_metrics(*sides[0], *sides[1])
    for name in ("mAP", "mINP", "rank_1", "rank_5", "rank_10"):
        assert found[name] == pytest.approx(metrics[name])
    assert (found["queries"], found["gallery"]) == (4, 8)
    assert found["identities"] == 5


def test_mAP_of_held_out_identities_chooses_what_ships(trained):
    folder, _ = trained
    found, logs = of_run(folder), columns(folder)
    last = [logs[f"val_network_{k}_mAP"][-1] for k in range(2)]
    assert found["selected"] == f"network_{int(np.argmax(last))}"
    assert found["selected_by"] == "val_mAP"
    assert found["best_epoch_mAP"] is None
    one = found["networks"][int(np.argmax(last))]
    assert one["mAP"] == found["mAP"]
    assert logs["network_0_loss"][0] != logs["network_1_loss"][0]
    assert 0 < logs["distillation_loss"][-1]
    assert np.isfinite(logs["divergence"]).all()


def test_killed_run_ends_with_the_bits_of_an_uninterrupted_one(
    trained, monkeypatch, capsys
):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1 and (checkpoints / "epoch-000001").exists():
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
            launch_here(*again)
    assert not (checkpoints / "epoch-000002").exists()
    assert launch_here(*again) == (0, "")
    assert "Resumed after epoch 1 of 3" in capsys.readouterr().out
    whole, killed = folder / "run", folder / "killed"
    for name in ("history.csv", "coefficients.csv", "images.csv"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes()
    left, right = (
        files.newest_checkpoint(run / "checkpoints", pytest.fail)
        for run in (whole, killed)
    )
    assert left.arrays.keys() == right.arrays.keys()
    for name, array in left.arrays.items():
        np.testing.assert_array_equal(array, right.arrays[name], name)


def test_page_shows_lists_curves_and_training(trained):
    page = (trained[0] / "run" / "report.html").read_text()
    found = of_run(trained[0])
    for title in (
        *("Ranked lists", "CMC curve", "Distances", "MAP", "Flags"),
        *("Graft coefficients", "Invalid filters"),
    ):
        assert f"<h2>{title}</h2>" in page
    assert f"mAP <b>{found['mAP']:.4f}</b>" in page
    assert page.count("alt='query'") == 4
    assert "tr class='shipped'" in page
    assert "--metric_loss=triplet" in page


def test_card_is_one_of_embeddings(trained):
    folder, _ = trained
    found = of_run(folder)
    text = (folder / "run" / "card.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["pipeline_tag"] == "image-feature-extraction"
    (result,) = front["model-index"][0]["results"]
    told = {m["type"]: m["value"] for m in result["metrics"]}
    assert told["mAP"] == pytest.approx(found["mAP"], abs=1e-4)
    assert "class" not in text
    assert "an embedding of 64 numbers" in text
    assert "held out" in text
    assert str(folder) not in text
    code = text.split("```python")[1].split("```")[0]
    images = recognition.load("market1501", folder / "people", (8, 8))
    names = {"images": images.query.images}
    exec(code.replace('"shipped', f'"{folder}/run/shipped'), names)
    np.testing.assert_allclose(
        np.diag(names["similarities"]), np.ones(4), rtol=1e-5
    )


def test_finished_run_is_not_trained_again(trained, capsys):
    folder, arguments = trained
    workdir = f"--workdir={folder / 'run'}"
    assert launch_here(*arguments, workdir) == (0, "")
    assert "This run is finished" in capsys.readouterr().out


def test_other_images_are_refused(trained, tmp_path):
    folder, arguments = trained
    shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    moved = folder / "people" / "query" / "0011_c1s1_000000_00.png"
    before = moved.read_bytes()
    try:
        Image.new("RGB", (8, 8)).save(moved)
        code, said = launch_here(*arguments, f"--workdir={tmp_path / 'run'}")
    finally:
        moved.write_bytes(before)
    assert code == 1
    assert "1 with other pixels: query/0011_c1s1_000000_00.png" in said


def test_teacher_averages_and_another_gallery(trained, tmp_path):
    folder, _ = trained
    network = folder / "run" / "network_0.keras"
    other = people(tmp_path / "others", judged=range(21, 24))
    code, said = launch_here(
        *(*SMALL, "--num_networks=1", "--epochs=1", "--nograft"),
        *("--last_stride_1", "--pooling=generalized_mean"),
        *(f"--teachers={network}", "--swa_start=0"),
        f"--dataset=market1501:{folder / 'people'}",
        f"--judged_on=market_layout:{other}",
        f"--workdir={tmp_path / 'run'}",
    )
    assert (code, said) == (0, "")
    found = of_run(tmp_path)
    assert (found["queries"], found["gallery"]) == (3, 6)
    assert found["judged_on"] == f"market_layout:{other}"
    assert columns(tmp_path)["distillation_loss"][0] > 0
    listed = (tmp_path / "run" / "images.csv").read_text()
    assert "judged_on/query/0021_c1s1_000000_00.png" in listed
    assert "averages of their weights" in found["protocol"]


def trainer_of(train, *arguments):
    values = flags.FlagValues()
    flags.define(values)
    given = ["launch", "--task=recognition", "--num_networks=2", *arguments]
    settings = flags.parse(given, values)
    return recognition_recipe.make_trainer(settings, train, 3)


def test_backbone_of_a_classifier_is_what_networks_begin_with(tmp_path):
    images = np.zeros((6, 8, 8, 1), np.uint8)
    numbers = np.arange(6)
    train = recognition.LabelledImages(images, numbers // 2, numbers)
    classifier = models.build("resnet8", 7, (8, 8, 1), seed=9)
    classifier.save(tmp_path / "a.keras")
    begin = f"--weights={tmp_path / 'a.keras'}"
    trainer = trainer_of(train, begin)
    *inside, _, _ = classifier.get_weights()
    for network in trainer.networks:
        found = network.get_weights()[: len(inside)]
        for left, right in zip(inside, found, strict=True):
            np.testing.assert_array_equal(left, right)
        assert network.output["logits"].shape[-1] == 3
    with pytest.raises(RunError, match="does not fit --model"):
        trainer_of(train, begin, "--model=resnet14")


@pytest.mark.parametrize(
    "identities, message",
    [(None, "no identities"), (4, "logits of shape"), (3, "")],
)
def test_teacher_must_know_the_identities(tmp_path, identities, message):
    images = np.zeros((6, 8, 8, 1), np.uint8)
    numbers = np.arange(6)
    train = recognition.LabelledImages(images, numbers // 2, numbers)
    teacher = models.build("resnet14", 3, (8, 8, 1), width=2)
    if identities:
        teacher = recognition.embedding_network(teacher, identities)
    teacher.save(tmp_path / "t.keras")
    given = f"--teachers={tmp_path / 't.keras'}"
    if message:
        with pytest.raises(RunError, match=message):
            trainer_of(train, given)
        return
    trainer = trainer_of(
        train, given, "--metric_loss=triplet", "--images_per_identity=2"
    )
    labels = np.int32([0, 0, 1, 1])
    logs = trainer.train_on_batch(
        images[:4],
        dict.fromkeys(("logits", "embedding", "features"), labels),
        return_dict=True,
    )
    assert logs["distillation_loss"] > 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--plan",), ""),
        (("--validation_fraction=0.1",), "of 8 identities is 1. It must be"),
        (("--batch_size=64", "--images_per_identity=2"), "32 identities in"),
    ],
)
def test_what_the_images_do_not_allow_is_refused(
    trained, tmp_path, arguments, message
):
    dataset = f"--dataset=market1501:{trained[0] / 'people'}"
    code, said = launch_here(
        *(*SMALL, *arguments, dataset), f"--workdir={tmp_path / 'run'}"
    )
    assert code == (1 if message else 0)
    assert message in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "change, code, message",
    [
        (lambda p: shutil.rmtree(p / "query"), DATA_UNAVAILABLE, "query is"),
        (
            lambda p: [f.unlink() for f in (p / "query").iterdir()],
            1,
            "no images of its part 'query'",
        ),
        (
            lambda p: [f.unlink() for f in p.glob("*/001*_c[23]*")],
            1,
            "no images of its part 'gallery'",
        ),
        (
            lambda p: [f.unlink() for f in p.glob("*/000[2-9]_*")],
            1,
            "1 identity to train on",
        ),
        (
            lambda p: (p / "query" / "0011_c1s1_000000_00.png").write_text(""),
            1,
            "1 broken files",
        ),
    ],
)
def test_folders_that_cannot_be_used_are_refused(
    tmp_path, change, code, message
):
    root = people(tmp_path / "people")
    change(root)
    told = launch_here(
        *(*SMALL, "--validation_fraction=0", f"--dataset=market1501:{root}"),
        f"--workdir={tmp_path / 'run'}",
    )
    assert told[0] == code
    assert message in told[1]
    assert not (tmp_path / "run").exists()
