"""`card.md` of a run of recognition; see `model_card`."""

import dataclasses
from typing import Any

from keras_graft.runs import model_card
from keras_graft.runs.model_card import TO_FILL_IN
from keras_graft.runs.model_card import dataset_name
from keras_graft.runs.model_card import model_name
from keras_graft.runs.model_card import plain
from keras_graft.runs.model_card import quoted
from keras_graft.runs.model_card import shipped_as
from keras_graft.runs.retrieval_results import METRICS
from keras_graft.runs.retrieval_results import RetrievalResults
from keras_graft.runs.retrieval_results import shown
from keras_graft.version import __version__


def card(results: RetrievalResults, settings: Any) -> str:
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
    judged = dataset_name(results.judged_on)
    parts = [
        _front_matter(results, judged),
        f"# {plain(model)} on {plain(dataset)}: embeddings",
        _introduction(results, settings),
        "## Use\n\n" + _use(results),
        "## Data\n\n" + _data(results, dataset, judged),
        "## Procedure\n\n" + model_card.procedure(settings, dataset),
        "## Retrieval\n\n" + _retrieval(results, judged),
        model_card.licence(),
    ]
    return "\n\n".join(parts)


def _front_matter(results, judged):
    name = f"{results.model} on {judged}"
    lines = [
        "---",
        "library_name: keras",
        "pipeline_tag: image-feature-extraction",
        "tags: [keras, keras_graft, image-feature-extraction, image-retrieval]",
        *model_card.licence_lines(),
        "metrics: [mAP, rank_1]",
        "model-index:",
        f"  - name: {quoted(name)}",
        "    results:",
        "      - task:",
        "          type: image-feature-extraction",
        "          name: image retrieval",
        "        dataset:",
        f"          name: {quoted(judged)}",
        f"          type: {quoted(judged)}",
        "          split: test",
        "        metrics:",
    ]
    for metric in METRICS:
        value = getattr(results, metric)
        if value is not None:
            lines += [
                f"          - type: {metric}",
                f"            value: {value:.4f}",
            ]
    return "\n".join([*lines, "---"])


def _introduction(results, settings):
    return (
        f"{shipped_as(results, settings)}: an ordinary Keras model that gives "
        f"an image an embedding of {results.output['size']} numbers, made by "
        f"keras_graft {__version__}. Images of one identity are to be near "
        "each other, also of identities that it was not trained on. It names "
        "nobody."
    )


def _use(results):
    height, width, channels = results.input["shape"]
    return "\n".join(
        [
            "```python",
            "import keras",
            "",
            'model = keras.models.load_model("shipped.keras")',
            f"# images: shape [n, {height}, {width}, {channels}], pixels 0 to "
            "255.",
            "embeddings = keras.ops.normalize(model.predict(images))",
            "similarities = embeddings @ keras.ops.transpose(embeddings)",
            "```",
            "",
            "Keras alone reads it. It normalises pixels inside. Embeddings are "
            "compared by the cosine: the larger, the nearer. Where two images "
            "count as one identity is for a threshold to say, which nobody has "
            "measured here.",
        ]
    )


def _data(results, dataset, judged):
    shape = "x".join(map(str, results.input["shape"]))
    where = "" if judged == dataset else f" of {plain(judged)}"
    return (
        f"Trained on {results.identities} identities of {plain(dataset)}, as "
        f"images of {shape} (height, width, channels), stretched where they "
        f"had another shape; judged by {results.queries} queries in a gallery "
        f"of {results.gallery} images{where}.\n\nWhere the images are from, of "
        f"whom, and with whose consent: {TO_FILL_IN}."
    )


def _retrieval(results, judged):
    names = [name.replace("_", " ") for name in METRICS]
    values = [shown(getattr(results, name)) for name in METRICS]
    rows = [f"| this model | {' | '.join(values)} |"]
    if results.num_networks > 1:
        values = [
            shown(getattr(results, f"ensemble_{name}")) for name in METRICS
        ]
        rows.append(
            f"| all {results.num_networks} networks, {results.ensemble} | "
            f"{' | '.join(values)} |"
        )
    return "\n".join(
        [
            f"| on {plain(judged)} | {' | '.join(names)} |",
            f"| --- |{' --- |' * len(names)}",
            *rows,
            "",
            "By the cosine, without re-ranking. Left out of a ranking: images "
            "of the query's identity by its own camera.",
            "",
            f"One run, seed {results.seed}. {plain(results.protocol)}",
        ]
    )
