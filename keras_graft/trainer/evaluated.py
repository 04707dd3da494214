"""The methods of a trainer that return results, with Keras' signatures."""

import abc
from typing import Any
from typing import Never

import keras

from keras_graft.acceleration import resolve_acceleration
from keras_graft.trainer import arguments
from keras_graft.trainer.ensemble import Ensemble
from keras_graft.trainer.inputs import check_not_empty
from keras_graft.trainer.inputs import first_example
from keras_graft.trainer.loaders import as_drawn_once


class Evaluated(Ensemble):
    """N networks with a loss, which `evaluate` scores.

    As a list, results are what Keras returns for one network: the loss, then
    the compiled metrics, in the order of `metrics_names`; each is the mean
    over the live networks. `return_dict=True` gives every log.
    """

    @property
    def metrics_names(self) -> list[str]:
        """`"loss"` and the compiled metrics, these once they are built."""
        if self._preparation is None:
            return ["loss"]
        names = self._scoring.names
        return ["loss", *(name for name in names if name != "loss")]

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        **kwargs: Never,
    ) -> Any:
        # The rest is what Keras passes to itself, and nothing of a user's.
        self._assert_ready("evaluate")
        # `fit` validates on batches that it has drawn before.
        drawn = kwargs.get("_use_cached_eval_dataset", False)
        if not drawn and y is None and sample_weight is None:
            x = as_drawn_once(x)
        check_not_empty(x, "evaluation")
        self._prepare(*first_example(x, y, sample_weight))
        with self._label_errors_named():
            logs = super().evaluate(
                x,
                y,
                batch_size,
                verbose,
                sample_weight,
                steps,
                callbacks,
                return_dict=True,
                **kwargs,
            )
        return self._as_asked(logs, return_dict)

    def train_on_batch(
        self,
        x,
        y=None,
        sample_weight=None,
        class_weight=None,
        return_dict=False,
    ) -> Any:
        self._assert_ready("train_on_batch")
        self._prepare(*first_example(x, y, sample_weight))
        arguments.check_synchronized(self._networks, self._num_replicas)
        logs = super().train_on_batch(
            x, y, sample_weight, class_weight, return_dict=True
        )
        return self._as_asked(logs, return_dict)

    def test_on_batch(
        self, x, y=None, sample_weight=None, return_dict=False
    ) -> Any:
        self._assert_ready("test_on_batch")
        self._prepare(*first_example(x, y, sample_weight))
        logs = super().test_on_batch(x, y, sample_weight, return_dict=True)
        return self._as_asked(logs, return_dict)

    def export(
        self,
        filepath,
        format="tf_saved_model",
        verbose=None,
        input_signature=None,
        **kwargs,
    ) -> None:
        """Writes the ensemble as a graph; as `keras.Model.export`.

        Keras would ask for a call of the trainer first. What its networks
        take is known where they have a graph.
        """
        taken = _inputs_of(self._networks[0])
        if input_signature is None and taken is not None:
            input_signature = [keras.tree.map_structure(_input_spec, taken)]
        # Whoever reads the graph knows nothing of fast operations.
        fast, self._acceleration = (
            self._acceleration,
            resolve_acceleration(False),
        )
        try:
            super().export(filepath, format, verbose, input_signature, **kwargs)
        finally:
            self._acceleration = fast

    def _as_asked(self, logs, return_dict):
        if return_dict:
            return logs
        results = [logs[name] for name in self.metrics_names]
        # As Keras does where there is a loss alone.
        return results if len(results) > 1 else results[0]

    @abc.abstractmethod
    def _assert_ready(self, method):
        """Refuses what cannot be done yet."""

    @abc.abstractmethod
    def _prepare(self, x, y, sample_weight):
        """Builds what one example shows."""

    @abc.abstractmethod
    def _label_errors_named(self):
        """A context in which wrong labels are named as such."""


def _inputs_of(network):
    """Its symbolic inputs in their structure, or None without a graph."""
    if not getattr(network, "inputs", None):
        return None
    if isinstance(network, keras.Sequential):
        return network.inputs[0]
    return network.input


def _input_spec(tensor):
    return keras.InputSpec(
        shape=tensor.shape, dtype=tensor.dtype, name=tensor.name
    )
