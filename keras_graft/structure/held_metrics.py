"""Metrics that a network and its layers hold, beside the compiled ones."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.structure.graph import own_metrics
from keras_graft.structure.graph import sublayers


def held_metrics(network: keras.Model) -> list[keras.metrics.Metric]:
    """The metrics that a plain `fit` of a network would log by itself.

    Those of a model inside of it are not among them, as in Keras, but those
    of its layers are.

    Args:
        network: A model. Layers that are not built may make some later.

    Returns:
        Each once, in the order of the layers.
    """
    found: dict[int, keras.metrics.Metric] = {}
    seen: set[int] = set()

    def collect(layer):
        if id(layer) in seen:
            return
        seen.add(id(layer))
        if layer is network or not isinstance(layer, keras.Model):
            found.update((id(metric), metric) for metric in own_metrics(layer))
        for inner in sublayers(layer):
            collect(inner)

    collect(network)
    return list(found.values())


def held_results(
    metrics: Sequence[Sequence[keras.metrics.Metric]],
) -> list[dict[str, Any]]:
    """What they show, by name.

    Args:
        metrics: For each network what `held_metrics` returned.

    Returns:
        For each network its results. Networks that hold equally many have the
        names of the first: Keras numbers what was given no name.
    """
    alike = len({len(held) for held in metrics}) == 1
    return [_named(metrics[0] if alike else held, held) for held in metrics]


def _named(names, held):
    results = {}
    for named, metric in zip(names, held, strict=True):
        result = metric.result()
        results.update(
            result if isinstance(result, dict) else {named.name: result}
        )
    return results
