"""`card.md`: what ships, said in the form that model hubs read.

Front matter in YAML, of which JSON is a part, so that any name is quoted; then
Markdown. Nothing of the machine is in it, since it is there to be published.
"""

import dataclasses
import json
import os
from typing import Any

from keras_graft import flags
from keras_graft.data.augment_steps import augment_steps
from keras_graft.data.names import IMAGE_SOURCES
from keras_graft.data.names import source_of
from keras_graft.runs.results import MEAN
from keras_graft.runs.results import RunResults
from keras_graft.structure.printable import printable
from keras_graft.version import __version__

TO_FILL_IN = "to fill in"


def card(results: RunResults, settings: Any) -> str:
    """The card of a finished run.

    Args:
        results: The run's results.
        settings: The run's flags.

    Returns:
        Text that is the same for the same run, wherever it was trained.
    """
    dataset = dataset_name(settings.dataset)
    model = model_name(settings.model)
    results = dataclasses.replace(results, model=model)
    settings = settings._replace(model=model)
    parts = [
        _front_matter(results, dataset),
        f"# {plain(model)} on {plain(dataset)}",
        _introduction(results, settings),
        "## Use\n\n" + _use(results),
        "## Data\n\n" + _data(results, settings, dataset),
        "## Procedure\n\n" + procedure(settings, dataset),
        "## Accuracy\n\n" + _accuracy(results),
        *_exports(results),
        licence(),
    ]
    return "\n\n".join(parts)


def licence() -> str:
    """The section that a person has to fill in."""
    return (
        "## Licence\n\n"
        f"- Of this model: {TO_FILL_IN}\n"
        f"- Of the images that it was trained on: {TO_FILL_IN}\n"
    )


def licence_lines() -> list[str]:
    """The licence in the front matter, for a person to fill in."""
    return [
        f"license: other  # {TO_FILL_IN}: a hub's short name, or these:",
        f"license_name: {TO_FILL_IN}",
        f"license_link: {TO_FILL_IN}",
    ]


def dataset_name(name: str) -> str:
    """The name of a dataset without the place of a folder."""
    source, colon, path = name.partition(":")
    return printable(f"{source}:{os.path.basename(path)}" if colon else name)


def model_name(name: str) -> str:
    """The name of an architecture without the place of a file."""
    return _file_name(name) if name.endswith(".keras") else dataset_name(name)


def _file_name(path):
    return printable(os.path.basename(path))


def plain(text: str) -> str:
    """A name that Markdown shows as it is."""
    shown = printable(text)
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|&" else c for c in shown)


def quoted(text: str) -> str:
    """A text as YAML takes any."""
    return json.dumps(printable(text), ensure_ascii=False)


def _front_matter(results, dataset):
    name = f"{results.model} on {dataset}"
    return "\n".join(
        [
            "---",
            "library_name: keras",
            "pipeline_tag: image-classification",
            "tags: [keras, keras_graft, image-classification]",
            *licence_lines(),
            "metrics: [accuracy]",
            "model-index:",
            f"  - name: {quoted(name)}",
            "    results:",
            "      - task:",
            "          type: image-classification",
            "        dataset:",
            f"          name: {quoted(dataset)}",
            f"          type: {quoted(dataset)}",
            "          split: test",
            "        metrics:",
            "          - type: accuracy",
            f"            value: {results.test_accuracy:.4f}",
            "---",
        ]
    )


def shipped_as(results: Any, settings: Any) -> str:
    """Which network ships, and how it was trained, as a subject."""
    which = (
        f"The mean of the weights of {results.num_networks} networks"
        if results.selected == MEAN
        else f"The best of {results.num_networks} networks"
        if results.num_networks > 1
        else "One network"
    )
    if results.num_networks == 1:
        return which
    taught = "with" if settings.mutual_weight else "without"
    return f"{which} that were trained together, {taught} mutual distillation"


def _introduction(results, settings):
    return (
        f"{shipped_as(results, settings)}: an ordinary Keras model for "
        f"{results.output['classes']} classes, made by keras_graft "
        f"{__version__}."
    )


def _use(results):
    height, width, channels = results.input["shape"]
    lines = [
        "```python",
        "import keras",
        "",
        'model = keras.models.load_model("shipped.keras")',
        f"# images: shape [n, {height}, {width}, {channels}], pixels 0 to 255.",
        "probabilities = keras.ops.softmax(model.predict(images))",
        "```",
        "",
        "Keras alone reads it. It normalises pixels inside and returns logits, "
        "in the order of the classes:",
        "",
    ]
    if results.class_names is None:
        lines.append(f"class numbers, 0 to {results.output['classes'] - 1}.")
    else:
        lines += [
            f"{i}. {plain(name)}" for i, name in enumerate(results.class_names)
        ]
    return "\n".join(lines)


def _data(results, settings, dataset):
    shape = "x".join(map(str, results.input["shape"]))
    text = f"{plain(dataset)}, as images of {shape} (height, width, channels)."
    if source_of(settings.dataset) in IMAGE_SOURCES:
        text += f" Brought to that size by `--resize={settings.resize}`"
        if augment_steps(settings.augment).crop == "resized_crop":
            text += ", to train on by random parts of them"
        text += "."
    return text + f"\n\nWhere the images are from, and of what: {TO_FILL_IN}."


def procedure(settings: Any, dataset: str) -> str:
    """The flags, without what says where things lie on a machine.

    Args:
        settings: The run's flags.
        dataset: What `dataset_name` returned.
    """
    public = settings._replace(
        workdir=None,
        data_dir=None,
        dataset=dataset,
        teachers=tuple(map(_file_name, settings.teachers)),
        initial_network=settings.initial_network
        and _file_name(settings.initial_network),
        judged_on=settings.judged_on and dataset_name(settings.judged_on),
        weights=settings.weights and _file_name(settings.weights),
    )
    text = flags.flags_text(public)
    return f"The flags of `python -m keras_graft.launch`:\n\n```\n{text}```"


def _accuracy(results):
    rows = [f"| this model | {results.test_accuracy:.4f} |"]
    if results.num_networks > 1:
        rows.append(
            f"| all {results.num_networks} networks, their probabilities "
            f"averaged | {results.ensemble_test_accuracy:.4f} |"
        )
    return "\n".join(
        [
            "| | test accuracy |",
            "| --- | --- |",
            *rows,
            "",
            f"One run, seed {results.seed}. {plain(results.protocol)}",
        ]
    )


def _exports(results):
    if not results.exports:
        return []
    rows = [
        f"| {e.file} | {e.format}, {e.numbers} | {e.test_accuracy:.4f} | "
        f"{e.largest_difference:.2g} |"
        for e in results.exports
    ]
    first = results.exports[0]
    return [
        "\n".join(
            [
                "## Other formats",
                "",
                f"Each asked about {first.images} test images, on which Keras "
                f"has an accuracy of {first.keras_test_accuracy:.4f} with "
                f"logits up to {first.largest_logit:.3g}. Inputs are float32, "
                "pixels 0 to 255.",
                "",
                "| file | format | test accuracy | largest difference of "
                "logits |",
                "| --- | --- | --- | --- |",
                *rows,
            ]
        )
    ]
