"""The card of what ships: front matter that hubs read, and no local paths."""

import re

import pytest
import yaml
from finished import finished

from keras_graft import flags
from keras_graft.runs import results
from keras_graft.runs.model_card import card


def settings(*arguments):
    values = flags.FlagValues()
    flags.define(values)
    return flags.parse(["launch", *arguments], values)


def parts(text):
    """Front matter and body, as hubs cut them."""
    nothing, front, body = text.split("---\n", 2)
    assert nothing == ""
    return yaml.safe_load(front), body


def test_front_matter_says_what_hubs_ask_for():
    front, body = parts(card(finished(), settings("--num_networks=2")))
    assert front["library_name"] == "keras"
    assert front["pipeline_tag"] == "image-classification"
    assert front["license_name"] == "to fill in"
    (model,) = front["model-index"]
    (result,) = model["results"]
    assert model["name"] == "resnet8 on digits"
    assert result["dataset"]["split"] == "test"
    assert result["metrics"] == [{"type": "accuracy", "value": 0.625}]
    assert "| this model | 0.6250 |" in body
    assert "averaged | 0.7500 |" in body
    assert "seed 7. Chosen on a validation split." in body
    assert "shape [n, 8, 9, 1]" in body
    assert "class numbers, 0 to 2" in body
    assert body.count("to fill in") == 3


def test_nothing_of_the_machine_is_in_it(tmp_path):
    images, teacher = tmp_path / "my cats", tmp_path / "teacher.keras"
    images.mkdir()
    teacher.touch()
    chosen = settings(
        f"--dataset=folder:{images}",
        f"--teachers={teacher}",
        f"--workdir={tmp_path / 'run'}",
    )
    text = card(finished(dataset=chosen.dataset), chosen)
    assert str(tmp_path.parent) not in text
    assert "--dataset=folder:my cats\n" in text
    assert "--teachers=teacher.keras\n" in text
    assert "# resnet8 on folder:my cats\n" in text
    chosen = settings("--flagfile=cifar10.flags", f"--data_dir={tmp_path}")
    assert str(tmp_path) not in card(finished(dataset="cifar10"), chosen)


@pytest.mark.parametrize(
    "name", ['"a": [b', "x\n---\ny", "\x1b[31mred", "*a* | <b>", "öl 😀"]
)
def test_any_name_of_a_class_or_folder_leaves_it_readable(tmp_path, name):
    # Flags refuse a path that cannot be seen.
    images = tmp_path / (name if name.isprintable() else "images")
    images.mkdir()
    chosen = settings(f"--dataset=folder:{images}")
    text = card(
        finished(class_names=[name, "b", "c"], dataset=chosen.dataset), chosen
    )
    front, body = parts(text)
    named = front["model-index"][0]["results"][0]["dataset"]["name"]
    assert named == f"folder:{images.name}"
    assert text.count("\n---\n") == 1
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)[*<]", body.partition("## Procedure")[0])


@pytest.mark.parametrize(
    ("source", "more", "brought"),
    [
        ("folder", (), "Brought to that size by `--resize=crop`.\n"),
        (
            "folder",
            ("--resize=pad", "--augment=resized_crop"),
            "by `--resize=pad`, to train on by random parts of them.\n",
        ),
        # Arrays have one size, and stay as they are.
        ("npz", (), ""),
    ],
)
def test_it_says_what_became_of_the_images(tmp_path, source, more, brought):
    chosen = settings(f"--dataset={source}:{tmp_path / 'images'}", *more)
    text = card(finished(dataset=chosen.dataset), chosen)
    (data,) = re.findall(r"(?s)## Data\n\n(.*?)\n## ", text)
    assert data.startswith(f"{source}:images, as images of 8x9x1 (")
    assert brought in data
    assert ("--resize" in data) == bool(brought)


def test_the_mean_of_networks_says_so():
    text = card(finished(selected=results.MEAN), settings())
    assert "The mean of the weights of 2 networks that were" in text
