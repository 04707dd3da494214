"""What a shipped network says of image files."""

import csv
import itertools
import json
import os
import pathlib
import sys

import keras
import numpy as np
import pytest
from builders import small_network
from keras import layers

from keras_graft import data
from keras_graft import recognition
from keras_graft.data.names import RESIZES
from keras_graft.predict import main

sys.path.append(str(pathlib.Path(__file__).parent / "data"))

from image_folders import write_image  # noqa: E402
from PIL import Image  # noqa: E402

NAMES = ["dark", "<red>", "grün"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory whose network knows colors, and images of them."""
    folder = tmp_path_factory.mktemp("predict")
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 25)(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, layers.Dense(3)(x))
    network.set_weights(
        [np.array([[-1.0, 1, 0], [-1, 0, 1], [0, 0, 0]]), np.array([5.0, 0, 0])]
    )
    network.save(folder / "shipped.keras")
    (folder / "classes.json").write_text(
        json.dumps({"class_names": NAMES, "resize": "stretch", "whole": False})
    )
    images = folder / "images"
    (images / "deeper").mkdir(parents=True)
    for name, color in (("a.png", "black"), ("deeper/b.jpg", "red")):
        Image.new("RGB", (20, 10), color).save(images / name)
    Image.new("RGB", (10, 20), (0, 255, 0)).save(images / "c d.webp")
    (images / "notes.txt").touch()
    return folder


def test_classes_are_named_with_their_probabilities(run, capsys):
    images = run / "images"
    assert main([str(run), str(images)]) == 0
    lines = capsys.readouterr().out.splitlines()
    # Logits are 5, 0, 0 of black, and -5.2, 10.2, 0 of red.
    first = np.exp(5) / (np.exp(5) + 2)
    assert lines == [
        f"{images / 'a.png'}: dark {first:.3f}",
        f"{images / 'c d.webp'}: grün 1.000",
        f"{images / 'deeper' / 'b.jpg'}: <red> 1.000",
    ]
    one = [str(run / "shipped.keras"), str(images / "a.png"), "--top=2"]
    assert main(one) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{images / 'a.png'}: dark {first:.3f}, ")
    assert said.count(",") == 1


def test_csv_has_every_class_of_every_image(run, tmp_path):
    file = tmp_path / "out.csv"
    assert main([str(run), str(run / "images"), f"--csv={file}"]) == 0
    with open(file, newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [row["class"] for row in rows] == ["dark", "grün", "<red>"]
    for row in rows:
        shares = [float(row[name]) for name in NAMES]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert NAMES[int(np.argmax(shares))] == row["class"]


def test_a_photograph_is_never_the_table(run, capsys):
    photograph = run / "images" / "a.png"
    before = photograph.read_bytes()
    assert main([str(run), "--csv", str(photograph), str(run / "images")]) == 1
    assert "--csv must end with .csv" in capsys.readouterr().err
    assert photograph.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="Names are Unicode there.")
def test_a_name_that_is_no_text_is_in_the_table_escaped(run, tmp_path):
    name = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    try:
        with open(name, "wb") as file:
            file.write((run / "images" / "a.png").read_bytes())
    except OSError:
        pytest.skip("This file system takes no such name.")
    table = tmp_path / "all.csv"
    assert main([str(run), os.fsdecode(name), f"--csv={table}"]) == 0
    assert r"\udcff.png,dark" in table.read_text("utf-8")


def test_a_bad_image_is_named_and_the_others_are_told(run, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("no image")
    write_image(tmp_path / "good.png")
    assert main([str(run), str(tmp_path), str(tmp_path / "none.png")]) == 1
    told = capsys.readouterr()
    assert f"{tmp_path / 'text.jpg'} cannot be used: no image" in told.err
    assert "none.png cannot be used: No such file" in told.err
    assert f"{tmp_path / 'good.png'}: " in told.out


def test_classes_without_names_have_numbers(run, tmp_path, capsys):
    (tmp_path / "a.keras").write_bytes((run / "shipped.keras").read_bytes())
    image = run / "images" / "a.png"
    assert main([str(tmp_path / "a.keras"), str(image)]) == 0
    told = capsys.readouterr()
    assert f"{image}: 0 0.9" in told.out
    assert "of others than that the middle is taken" in told.err


def test_a_network_is_given_what_its_run_gave_it(tmp_path, capsys):
    """The very pixels that the test images of a run have."""
    images = tmp_path / "images"
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (50, 37, 3), "uint8")
        path = images / f"class_{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    inputs = keras.Input((8, 8, 3))
    # No logit is the same for images that differ by one step in one pixel.
    x = layers.Rescaling(1 / 255)(layers.Flatten()(inputs))
    start = keras.initializers.RandomNormal(stddev=0.2, seed=0)
    network = keras.Model(inputs, layers.Dense(3, kernel_initializer=start)(x))
    network.save(tmp_path / "shipped.keras")
    found = []
    for resize, whole in itertools.product(RESIZES, (False, True)):
        (tmp_path / "classes.json").write_text(
            json.dumps({"class_names": NAMES, "resize": resize, "whole": whole})
        )
        split = data.load(
            f"folder:{images}",
            image_size=8,
            resize=resize,
            whole=whole,
            validation_fraction=0,
        ).train
        logits = np.asarray(network(split.images[:]), "float64")
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        expected = powers / powers.sum(-1, keepdims=True)
        table = tmp_path / "out.csv"
        assert main([str(tmp_path), str(images), f"--csv={table}"]) == 0
        with open(table, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        said = np.array([[float(row[n]) for n in NAMES] for row in rows])
        # Every training image is among them.
        assert all(
            np.isclose(said, e, atol=2e-6).all(1).any() for e in expected
        )
        found.append(said)
    for one, other in itertools.combinations(found, 2):
        assert np.abs(one - other).max() > 1e-4
    assert not capsys.readouterr().err


def test_probabilities_are_shown_as_they_are(run, tmp_path, capsys):
    network = keras.models.load_model(run / "shipped.keras")
    outputs = layers.Softmax()(network.output)
    keras.Model(network.input, {"p": outputs}).save(tmp_path / "shipped.keras")
    image = str(run / "images" / "a.png")
    assert main([str(run), image, "--top=3"]) == 0
    first = capsys.readouterr().out
    (tmp_path / "classes.json").write_bytes((run / "classes.json").read_bytes())
    assert main([str(tmp_path), image, "--top=3"]) == 0
    assert capsys.readouterr().out == first


def test_networks_that_do_not_tell_classes_apart_are_refused(tmp_path, capsys):
    inputs = keras.Input((8, 8, 3))
    x = layers.Flatten()(inputs)
    write_image(tmp_path / "a.png")
    file = tmp_path / "a.keras"
    for outputs, message in (
        (
            {"b": layers.Dense(3, name="one")(x), "c": layers.Dense(4)(x)},
            "gives 2 outputs: one of shape (None, 3), ",
        ),
        ([layers.Dense(3)(x)] * 2, "gives 2 outputs"),
        (layers.Dense(1)(x), "gives outputs of shape (None, 1)."),
        (layers.Dense(3, "sigmoid")(x), "of shape (None, 3), sigmoids."),
        (layers.Reshape((3, 64))(x), "gives outputs of shape (None, 3, 64)."),
    ):
        keras.Model(inputs, outputs).save(file)
        assert main([str(file), str(tmp_path / "a.png")]) == 1
        assert message in capsys.readouterr().err


def test_hidden_and_foreign_files_of_a_folder_are_passed_over(
    run, tmp_path, capsys
):
    for name in (".a.png", "@eaDir/b.png", "deep/.trash/c.png", "d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    write_image(tmp_path / "deep" / "E.JFIF", format="JPEG")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert main([str(run), str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert [line.partition(": ")[0] for line in told.out.splitlines()] == [
        str(tmp_path / "deep" / "E.JFIF")
    ]
    (line,) = told.err.splitlines()
    assert line.startswith(f"{tmp_path / 'pipe.jpg'} cannot be used: ")
    assert line.endswith("it is a named pipe, not a file")


def about(**changes):
    usual = {"class_names": ["a"], "resize": "pad", "whole": False}
    return json.dumps(usual | changes)


def test_embeddings_are_no_probabilities_of_classes(run, tmp_path, capsys):
    inputs = keras.Input((8, 8, 3))
    backbone = keras.Model(inputs, layers.Conv2D(4, 3)(inputs))
    network = recognition.embedding_network(backbone, 2)
    recognition.shipped_model(network).save(tmp_path / "shipped.keras")
    assert main([str(tmp_path), str(run / "images")]) == 1
    assert "gives embeddings" in capsys.readouterr().err


def test_what_cannot_be_meant_is_refused(run, tmp_path, capsys):
    image = str(run / "images" / "a.png")
    (tmp_path / "text.keras").write_text("no network")
    small_network().save(tmp_path / "grey.keras")
    other = tmp_path / "other"
    other.mkdir()
    (other / "shipped.keras").write_bytes((run / "shipped.keras").read_bytes())
    classes = other / "classes.json"
    for network, message, text in (
        (tmp_path / "none", "There is no file", ""),
        (tmp_path, f"no file {tmp_path / 'shipped.keras'}", ""),
        (tmp_path / "text.keras", "is no saved Keras model", ""),
        (tmp_path / "grey.keras", "takes inputs of shape (None, 8, 8, 1)", ""),
        (other, "does not hold the names of the classes", "[]"),
        (other, "it has no 'whole'", '{"class_names": [], "resize": "pad"}'),
        (other, "`resize` must be one of crop, pad", about(resize="fit")),
        (other, "`whole` must be true or false", about(whole=1)),
        (other, "`class_names` must be a list", about(class_names="abc")),
        (other, "names 1 classes, and the network has 3", about()),
    ):
        classes.write_text(text)
        assert main([str(network), image]) == 1
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match="^1$"):
        main([str(run)])
    assert "the following arguments are required" in capsys.readouterr().err
    assert main([str(run), str(other)]) == 1
    assert "There is no image in" in capsys.readouterr().err
    assert main([str(run), image, "--top=0"]) == 1
    assert main([str(run), image, f"--csv={tmp_path / 'no' / 'x.csv'}"]) == 1
