"""N networks, N optimizers, one train step."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.acceleration.switch import Accelerate
from keras_graft.acceleration.switch import accelerate_from
from keras_graft.optimizers.network_optimizers import NetworkOptimizers
from keras_graft.trainer import arguments
from keras_graft.trainer import callback_order
from keras_graft.trainer import step
from keras_graft.trainer import stock_callbacks
from keras_graft.trainer.compile_arguments import CompileArguments
from keras_graft.trainer.copies import one_optimizer_per_network
from keras_graft.trainer.ensemble import Heads
from keras_graft.trainer.equal_starts import warn_of_equal_starts
from keras_graft.trainer.evaluated import Evaluated
from keras_graft.trainer.fit_input import fit_input
from keras_graft.trainer.labels import label_errors_named
from keras_graft.trainer.preparation import Preparation
from keras_graft.trainer.preparation import prepare
from keras_graft.trainer.recorder import Recorder


@keras.saving.register_keras_serializable(package="keras_graft")
class GraftTrainer(Evaluated):
    """Trains N networks together, to ship one of them.

    Each network has its own optimizer and learns from the labels and, through
    the distillation terms, from its peers or from fixed teachers. Grafting is
    added by `keras_graft.GraftCallback`. Called on a batch, a trainer returns
    the mean of the networks' probabilities.

    The networks may see different views of a batch: where the inputs (and
    the labels) of a batch are a dict with exactly the keys `network_0`,
    `network_1`, ..., each network is given its own entry.

    A network whose logits or loss are not finite skips that step and teaches
    nobody in it; one whose gradient is not finite skips its own update.
    A skipped step leaves its weights, BatchNormalization statistics, optimizer
    slots and counters as they were, and is counted in the logs; the first one
    is named. `trainer.status[k]` tells: `"live"`, or `"masked"` if its last
    step or all of an epoch were such. The next graft heals a masked
    network: it takes the weights of the nearest live network upstream in the
    ring. After three healings, or where no graft follows or no network is
    live, it is `"retired"`: it takes part no more. When all are, `fit` ends.

    Made in the scope of a `tf.distribute` strategy, replicas share each batch
    and take the step that one would take. BatchNormalization must have
    `synchronized=True`. A batch that does not split evenly, most often the
    last one, is not trained on; every example is evaluated.

    Logs, plain and with `val_`: `loss` (mean over live networks of what is
    minimised; in validation without distillation), `distillation_loss`,
    `network_0_loss`, ..., and for each compiled metric `m`: `m` (mean over
    live networks), `network_0_m`, ..., `ensemble_m`. `fit` adds
    `learning_rate_network_0`, `network_0_skipped_steps`, .... A network that
    is masked or retired has NaN there, and so has validation of NaN.

    Args:
        networks: List of Keras models with the same inputs and outputs, which
            share no layer. A network that is not built yet is built by `fit`.
        distillation: `"mutual"` (a `MutualDistillation()`), a distillation
            term, a list of terms, or None. Defaults to `"mutual"`.
        monitor: Log by which `best_network` chooses, a callback's like
            `"val_mAP"` too; the networks' own values of it are compared,
            those in training where nothing is validated.
            Defaults to `"val_accuracy"`; without an accuracy, `"val_loss"`.
        fused_batch_norm: Deprecated, like `recompute`: see `accelerate`.
        accelerate: Whether, on a single replica, stock layers run on fused
            operations and networks that compute the same share one function:
            much faster, and the same up to rounding. False gives the last
            bits of N separate fits. `"no_recompute"` keeps all activations: a
            little faster, for more memory. Turns itself off, with a warning,
            on a Keras or TensorFlow that it was not tested with. Defaults to
            True.
        heads: What the outputs mean, where loss and last layer do not tell:
            one of `structure.heads.KINDS`, such as `"class_logits"`, or a
            dict of them by output. Defaults to None.
        mode: Which `monitor` is better: `"min"`, `"max"`, or `"auto"`: what
            the metric itself says. A metric that does not say needs it.
        name: As for `keras.Model`, like `trainable` and `dtype`.

    Raises:
        ValueError: If networks are missing or share a layer, or an argument
            is not of the kinds above.

    Example:

    ```python
    trainer = keras_graft.GraftTrainer(networks, distillation="mutual")
    trainer.compile(
        optimizer=keras.optimizers.SGD(0.1, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    trainer.fit(train, validation_data=val, epochs=200,
                callbacks=[keras_graft.GraftCallback()])
    trainer.best_network.save("shipped.keras")
    ```
    """

    config_lists = ("networks", "distillation")

    def __init__(
        self,
        networks: Sequence[keras.Model],
        distillation: Any = "mutual",
        monitor: str = "val_accuracy",
        fused_batch_norm: bool | None = None,
        recompute: bool | None = None,
        accelerate: Accelerate = True,
        heads: Heads = None,
        *,
        mode: str = "auto",
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            networks,
            monitor,
            mode,
            accelerate_from(accelerate, fused_batch_norm, recompute),
            heads,
            name=name,
            trainable=trainable,
            dtype=dtype,
        )
        self.distillation = arguments.distillation_terms(
            distillation, self.num_networks
        )
        self.data_follows_epochs = False
        self._preparation: Preparation | None = None
        self._told_of_equals = False

    # Compiling and saving.

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ) -> None:
        """Configures training; as `keras.Model.compile`, for N networks.

        Args:
            optimizer: One optimizer (or its name), copied from its config for
                each network, or a list of N.
            metrics: As for `keras.Model.compile`, like what is not named here;
                computed for each network and for the ensemble.
            auto_scale_loss: Whether a network of dtype policy
                `"mixed_float16"` gets a loss scale of its own.

        Raises:
            ValueError: If the optimizers are not one for each network, `loss`
                and a last activation contradict each other, or something does
                not work on several replicas, such as XLA.
        """
        with self.distribute_strategy.scope():
            optimizers = one_optimizer_per_network(optimizer, self.num_networks)
        given = CompileArguments(
            optimizers,
            loss,
            loss_weights,
            metrics,
            weighted_metrics,
            run_eagerly,
            steps_per_execution,
            jit_compile,
            auto_scale_loss,
        )
        given.check(self._networks, self._num_replicas)
        super().compile(optimizer=None, **given.of_any_model())
        with self.distribute_strategy.scope():
            self._scoring = given.scoring(self._networks)
            # A list of its own: this is what Keras' saving walks.
            self._optimizers = given.scaled_optimizers(self._networks)
        self._preparation = None
        self.health.revive()
        self.loss = loss
        self.optimizer = NetworkOptimizers(self._optimizers)
        # "auto" is resolved by now.
        self._compile_arguments = given.with_jit_compile(self.jit_compile)

    def get_compile_config(self):
        if not self.compiled:
            return {}
        return self._compile_arguments.serialized()

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if all(network.built for network in self._networks):
            # Slots must exist before Keras loads their values.
            self.optimizer.build_for(self._networks)

    # Training and evaluation.

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ) -> keras.callbacks.History:
        """Trains the networks; as `keras.Model.fit`, which says the rest.

        What is not built yet is built before the first callback runs.

        Args:
            x: As for `keras.Model.fit`, or with a view for each network, see
                the class; or a `keras_graft.data.EpochOrdered`.
            callbacks: As for `keras.Model.fit`. They are called in the order
                that `callback_order` explains, whatever order they come in.
            initial_epoch: As for `keras.Model.fit`. With a `RunCheckpoint`
                among the callbacks, 0 goes on where its run was.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: If the data is empty, has no labels or such that do not
                fit, teachers are missing, a callback cannot work with several
                networks, or batches or layers do not work on replicas.
        """
        self._assert_ready("fit")
        arguments.check_whole("initial_epoch", initial_epoch, 0)
        ordered = callback_order.in_order(callbacks)
        checkpoints = callback_order.checkpoints_of(ordered)
        for checkpoint in checkpoints:
            initial_epoch = checkpoint.resume(self, initial_epoch, epochs)
        given = fit_input(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            validation_split=validation_split,
            validation_data=validation_data,
            validation_steps=validation_steps,
            initial_epoch=initial_epoch,
            num_replicas=self._num_replicas,
            scoring=self._scoring,
        )
        self.data_follows_epochs = given.follows_epochs
        self._prepare(*given.example)
        arguments.check_synchronized(self._networks, self._num_replicas)
        if self._preparation is not None:
            self._preparation.check_labels(
                given.x, y, validation_data, self.loss
            )
        for checkpoint in checkpoints:
            if checkpoint.before_training(self, ordered):
                initial_epoch = max(initial_epoch, epochs)
        self._told_of_equals = self._told_of_equals or warn_of_equal_starts(
            self._networks, self._optimizers, given.example[0]
        )
        first = [
            Recorder(
                self,
                ordered,
                validation_data is not None or validation_split > 0,
            ),
            *stock_callbacks.helpers_for(ordered, self),
            *given.watchers,
        ]
        with self._label_errors_named():
            return super().fit(
                given.x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callback_order.as_given(
                    callbacks, [*first, *ordered], self, epochs
                ),
                validation_split=validation_split,
                validation_data=validation_data,
                # Keras warns where it is asked to shuffle what it cannot.
                shuffle=shuffle and not given.comes_in_order,
                class_weight=class_weight,
                sample_weight=sample_weight,
                initial_epoch=initial_epoch,
                steps_per_epoch=given.steps_per_epoch,
                validation_steps=validation_steps,
                validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
            )

    @property
    def metrics(self):
        return self._scoring.metrics if self._scoring else []

    def get_metrics_result(self):
        return self._scoring.results(self.health.live(), self.health.lost())

    def train_step(self, data):
        return step.train_step(self._trained_parts(), data)

    def test_step(self, data):
        return step.test_step(self._trained_parts(), data)

    def _trained_parts(self):
        return self._parts(
            optimizers=self._optimizers,
            scoring=self._scoring,
            terms=arguments.active_terms(self.distillation, self.num_networks),
            taps=self._preparation.taps if self._preparation else None,
        )

    @property
    def _needs_heads(self):
        return self.num_networks > 1 or bool(self.distillation)

    def _assert_ready(self, method):
        trains = method in ("fit", "train_on_batch")
        arguments.check_compiled_before(method, self._scoring is not None)
        arguments.check_terms_ready(self.distillation if trains else [], method)

    def _prepare(self, x, y, sample_weight):
        arguments.check_labelled(x, y)
        if self._preparation is None and x is not None:
            self._preparation = prepare(
                self, self._scoring, x, y, sample_weight
            )
            self.built = True

    def _label_errors_named(self):
        known = self._preparation
        return label_errors_named(known.num_units if known else None)
