"""One compiled loss and one set of compiled metrics."""

import contextlib

import keras

from keras_graft.structure.held_metrics import held_metrics
from keras_graft.trainer.copies import metric_copies
from keras_graft.trainer.guard import keep_where
from keras_graft.trainer.guard import values
from keras_graft.trainer.losses import has_own_loss


class Scorer(keras.Model):
    """Holds one compiled loss and one set of compiled metrics."""

    def __init__(
        self, loss, loss_weights, metrics, weighted_metrics, output_names
    ):
        super().__init__()
        if output_names:
            # Keras goes by them where losses and metrics have keys.
            self.output_names = output_names
        self.compile(
            optimizer=None,
            loss=loss,
            loss_weights=loss_weights,
            metrics=metric_copies(metrics),
            weighted_metrics=metric_copies(weighted_metrics),
            run_eagerly=True,
        )
        self.built = True


def loss_counts(scorer):
    """The variables of the losses by head, where there are several."""
    return [
        variable
        for metric in scorer.metrics
        # A user's metrics take labels, which a plain mean does not.
        if type(metric) is keras.metrics.Mean and metric.name != "loss"
        for variable in metric.variables
    ]


@contextlib.contextmanager
def counted_where(scorer, counted):
    """Within it, metrics count where `counted` is 1, or None, and else not."""
    if counted is None:
        yield
        return
    variables = [
        variable
        for metric in scorer.metrics
        if type(metric) is not keras.metrics.Mean
        for variable in metric.variables
    ]
    before = values(variables)
    yield
    keep_where(counted, variables, values(variables), before)


def compiled_results(scorer):
    results = scorer.get_metrics_result()
    results.pop("loss")  # Keras' own tracker, which nothing updates here.
    return results


def counted_by(network):
    """The metrics that a network counts for itself."""
    if not has_own_loss(network):
        return held_metrics(network)
    # The losses of its heads too; the loss is that of the trainer.
    return [
        metric
        for metric in network.metrics
        if metric.name != "loss" and not hasattr(metric, "metrics")
    ]
