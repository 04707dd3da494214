"""Builds what a trainer needs for its first step, from one example."""

import dataclasses
from typing import Any

import keras

from keras_graft.distillation import FeatureTaps
from keras_graft.structure.heads import Head
from keras_graft.trainer.arguments import active_terms
from keras_graft.trainer.arguments import check_outputs
from keras_graft.trainer.forward import example_outputs
from keras_graft.trainer.forward import feature_taps
from keras_graft.trainer.inputs import all_labels
from keras_graft.trainer.labels import check_labels
from keras_graft.trainer.scoring import Scoring
from keras_graft.trainer.views import views_of


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What is known of a trainer that is ready to train.

    Attributes:
        num_networks: N.
        heads: What the outputs of a network mean.
        shape: Shape of the first head's output, without the batch.
        taps: What the distillation terms look at inside of the networks.
    """

    num_networks: int
    heads: tuple[Head, ...]
    shape: tuple
    taps: FeatureTaps | None

    @property
    def num_units(self) -> int:
        """Output units of the first head."""
        return self.shape[-1]

    def check_labels(
        self, x: Any, y: Any, validation_data: Any, loss: Any
    ) -> None:
        """Refuses labels that do not fit the networks, before the first step.

        Args:
            x: As for `keras.Model.fit`.
            y: Likewise.
            validation_data: Likewise.
            loss: What `compile(loss=...)` was given.

        Raises:
            ValueError: If a shape or a value does not fit.
        """
        given = [(x, y)]
        if validation_data is not None:
            unpacked = keras.utils.unpack_x_y_sample_weight(validation_data)
            given.append(unpacked[:2])
        for inputs, labels in given:
            labels = all_labels(inputs, labels)
            if labels is not None:
                for part in views_of(labels, self.num_networks):
                    self._check(part, loss)

    def _check(self, labels, loss):
        # Of several heads Keras says what does not fit.
        if len(self.heads) == 1 and not keras.tree.is_nested(labels):
            check_labels(labels, self.num_units, loss, len(self.shape) + 1)


def prepare(
    trainer: Any, scoring: Scoring, x: Any, y: Any, sample_weight: Any
) -> Preparation:
    """Builds networks, optimizers' slots and metrics that are not built yet.

    Args:
        trainer: The `GraftTrainer`, compiled.
        scoring: Its loss and metrics.
        x: Inputs of one example, or a view of it for each network.
        y: Its labels likewise.
        sample_weight: Its weight likewise, or None.

    Raises:
        ValueError: If the networks' outputs differ or cannot be distilled, a
            distillation term is not finite, or the networks
            lack a layer that a distillation term looks at.
    """
    networks, terms = trainer.networks, trainer.distillation
    with trainer.distribute_strategy.scope():
        outputs = example_outputs(networks, x)
        check_outputs(outputs)
        heads = trainer.heads_of(outputs[0])
        active = active_terms(terms, len(networks))
        for term in active:
            term.check()
            term.check_heads(heads)
        taps = feature_taps(networks, active, outputs[0])
        trainer.optimizer.build_for(networks)
        scoring.build_from(y, outputs[0], sample_weight)
    shape = tuple(keras.tree.flatten(outputs[0])[0].shape[1:])
    return Preparation(len(networks), heads, shape, taps)
