"""N networks, N optimizers, one train step."""

import copy
import types

import keras
import tensorflow as tf

from keras_graft.acceleration.fused_batch_norm import fused_batch_norm
from keras_graft.acceleration.fused_padding import fused_padding
from keras_graft.data.epoch_dataset import EpochDataset
from keras_graft.distribution.keras_gaps import Prebuilt
from keras_graft.distribution.keras_gaps import reducible
from keras_graft.distribution.replicas import evenly_split
from keras_graft.distribution.replicas import own_random_numbers
from keras_graft.distribution.replicas import padded
from keras_graft.optimizers.network_optimizers import NetworkOptimizers
from keras_graft.optimizers.network_optimizers import one_optimizer_per_network
from keras_graft.optimizers.network_optimizers import with_loss_scales
from keras_graft.structure.outputs import final_activation
from keras_graft.trainer.arguments import check_compiled
from keras_graft.trainer.arguments import check_networks
from keras_graft.trainer.arguments import check_outputs
from keras_graft.trainer.arguments import check_synchronized
from keras_graft.trainer.arguments import check_terms_ready
from keras_graft.trainer.arguments import distillation_terms
from keras_graft.trainer.arguments import takes_logits
from keras_graft.trainer.callback_order import CheckpointCallback
from keras_graft.trainer.callback_order import grafts_of
from keras_graft.trainer.callback_order import in_order
from keras_graft.trainer.forward import feature_taps
from keras_graft.trainer.forward import forward
from keras_graft.trainer.forward import forward_all
from keras_graft.trainer.guard import once_drawn
from keras_graft.trainer.guard import snapshot
from keras_graft.trainer.health import Health
from keras_graft.trainer.inputs import CountedGenerator
from keras_graft.trainer.inputs import DroppedExamples
from keras_graft.trainer.inputs import StopAtDataEnd
from keras_graft.trainer.inputs import all_labels
from keras_graft.trainer.inputs import check_batches_split
from keras_graft.trainer.inputs import check_epoch_ends
from keras_graft.trainer.inputs import check_not_empty
from keras_graft.trainer.inputs import first_example
from keras_graft.trainer.labels import check_from_logits
from keras_graft.trainer.labels import check_labels
from keras_graft.trainer.labels import label_errors_named
from keras_graft.trainer.scoring import Scoring
from keras_graft.trainer.step import Batch
from keras_graft.trainer.step import finite_networks
from keras_graft.trainer.step import finite_outputs
from keras_graft.trainer.step import mean_probabilities
from keras_graft.trainer.step import step_losses
from keras_graft.trainer.step import supervised_losses
from keras_graft.trainer.updates import tapes_of
from keras_graft.trainer.updates import update_all
from keras_graft.trainer.views import views_of


@keras.saving.register_keras_serializable(package="keras_graft")
class GraftTrainer(Prebuilt, keras.Model):
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
    slots and counters as they were. `trainer.status[k]` tells: `"live"`, or
    `"masked"` if its last step was such a one. The next graft heals a masked
    network: it takes the weights of the nearest live network upstream in the
    ring. After three healings, or where no graft follows or no network is
    live, it is `"retired"`: it takes part no more. When all are, `fit` ends.

    Made in the scope of a `tf.distribute` strategy, replicas share each batch
    and take the step that one would take. They need BatchNormalization layers
    with `synchronized=True`. A batch that does not split evenly over them,
    most often an incomplete last one, is not trained on; every example is
    evaluated.

    Logs, plain and with `val_`: `loss` (mean over live networks of what is
    minimised; in validation without distillation), `distillation_loss`,
    `network_0_loss`, ..., and for each compiled metric `m`: `m` (mean over
    live networks), `network_0_m`, ..., `ensemble_m`. `fit` adds
    `learning_rate_network_0`, ....

    Args:
        networks: List of Keras models with the same inputs and outputs, which
            share no layer. A network that is not built yet is built by `fit`.
        distillation: `"mutual"` (a `MutualDistillation()`), a distillation
            term, a list of terms, or None. Defaults to `"mutual"`.
        monitor: Log by which `best_network` chooses; the networks' own values
            of it are compared. A name with "loss" or "error" is better
            smaller, any other one larger. Defaults to `"val_accuracy"`.
        fused_batch_norm: Whether stock BatchNormalization layers run on
            TensorFlow's fused operation, in every step on a single replica.
            There, convolutions also pad in place of a ZeroPadding2D before
            them, and networks that compute the same share one function: the
            same up to rounding and much faster. Off, N networks trained
            apart give the last bits of N separate fits. Defaults to True.
        recompute: Whether networks that share a function on a CPU compute the
            outputs of ReLUs between BatchNormalization and convolutions again
            in the backward pass, instead of keeping them for it: less memory
            for a little time. Defaults to True.

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

    def __init__(
        self,
        networks,
        distillation="mutual",
        monitor="val_accuracy",
        fused_batch_norm=True,
        recompute=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        networks = list(networks)
        check_networks(networks)
        # Named so that it is the first attribute that Keras' saving walks:
        # the networks are then stored once, under their position.
        self._networks = networks
        self.distillation = distillation_terms(distillation, len(networks))
        self.monitor = monitor
        self.fused_batch_norm = fused_batch_norm
        self.recompute = recompute
        self.health = Health(self)
        self.data_follows_epochs = False
        self._scoring = None
        self._taps = None
        self._num_units = None
        self._prepared = False

    @property
    def networks(self):
        """The networks, in the order of the ring."""
        return list(self._networks)

    @property
    def num_networks(self):
        """N."""
        return len(self._networks)

    @property
    def status(self):
        """Health by position: `"live"`, `"masked"` or `"retired"`.

        Assign `trainer.status[k] = "retired"` to take a network out.
        """
        return self.health.status

    @property
    def best_network(self):
        """The live network with the best `monitor`, with its last weights.

        Judged by the last validated epoch.

        Raises:
            ValueError: Before the first validated epoch.
        """
        return self._networks[self.health.best(self.monitor)]

    # Building and compiling.

    def build(self, input_shape=None):
        for k, network in enumerate(self._networks):
            if not network.built:
                network.build(views_of(input_shape, self.num_networks)[k])
        self.built = True

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
    ):
        """Configures training; as `keras.Model.compile`, for N networks.

        Args:
            optimizer: One optimizer (or its name), copied from its config for
                each network, or a list of N.
            loss: As for `keras.Model.compile`.
            loss_weights: As for `keras.Model.compile`.
            metrics: As for `keras.Model.compile`; computed for each network
                and for the ensemble.
            weighted_metrics: Likewise.
            run_eagerly: As for `keras.Model.compile`.
            steps_per_execution: As for `keras.Model.compile`.
            jit_compile: As for `keras.Model.compile`.
            auto_scale_loss: Whether a network of dtype policy
                `"mixed_float16"` gets a loss scale of its own.

        Raises:
            ValueError: If the list of optimizers has another length or holds
                one object twice, `loss` and the networks' last activation
                contradict each other, or something is asked for that does not
                work on several replicas, such as XLA.
        """
        if loss is None:
            raise ValueError(
                "`loss` is missing: give a Keras loss, such as "
                "keras.losses.SparseCategoricalCrossentropy(from_logits=True)."
            )
        for k, network in enumerate(self._networks):
            check_from_logits(network, loss, f"network_{k}")
        optimizers = one_optimizer_per_network(optimizer, self.num_networks)
        check_compiled(
            loss,
            optimizers,
            steps_per_execution,
            jit_compile,
            self._num_replicas,
        )
        super().compile(
            optimizer=None,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
        )
        with self.distribute_strategy.scope():
            self._scoring = Scoring(
                self.num_networks,
                loss,
                loss_weights,
                metrics,
                weighted_metrics,
                from_logits=takes_logits(
                    loss, self._networks[0], bool(self.distillation)
                ),
            )
            # A list of its own: this is what Keras' saving walks.
            self._optimizers = optimizers
            if auto_scale_loss:
                self._optimizers = with_loss_scales(optimizers, self._networks)
        self._prepared = False
        self.loss = loss
        self.optimizer = NetworkOptimizers(self._optimizers)
        # No dict: Keras would track, and save, what it holds. Serialised when
        # it is asked for, since a loss need not be serialisable to train.
        self._compile_arguments = types.SimpleNamespace(
            optimizer=optimizers,
            loss=loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=self.jit_compile,
            auto_scale_loss=auto_scale_loss,
        )

    def get_compile_config(self):
        if not self.compiled:
            return {}
        return keras.saving.serialize_keras_object(
            vars(self._compile_arguments)
        )

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if all(network.built for network in self._networks):
            # Slots must exist before Keras loads their values.
            self.optimizer.build_for(self._networks)

    def get_config(self):
        config = super().get_config()
        config.update(
            networks=[
                keras.saving.serialize_keras_object(n) for n in self._networks
            ],
            distillation=[
                keras.saving.serialize_keras_object(term)
                for term in self.distillation
            ],
            monitor=self.monitor,
            fused_batch_norm=self.fused_batch_norm,
            recompute=self.recompute,
        )
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # Keras takes a functional model's config apart while it reads it.
        config = copy.deepcopy(config)
        for key in ("networks", "distillation"):
            config[key] = [
                keras.saving.deserialize_keras_object(
                    item, custom_objects=custom_objects
                )
                for item in config[key]
            ]
        return cls(**config)

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
        **kwargs,
    ):
        """Trains the networks; as `keras.Model.fit`.

        Before the first callback runs, networks and optimizers that are not
        built yet are built from the first batch's specification. Callbacks
        are called in the order that `callback_order` explains, whatever the
        order they are given in.

        Args:
            x: As for `keras.Model.fit`, or with a view for each network, see
                the class; or a `keras_graft.data.EpochOrdered`.
            y: As for `keras.Model.fit`.
            batch_size: As for `keras.Model.fit`.
            epochs: As for `keras.Model.fit`.
            verbose: As for `keras.Model.fit`.
            callbacks: As for `keras.Model.fit`, in any order.
            validation_split: As for `keras.Model.fit`.
            validation_data: As for `keras.Model.fit`.
            shuffle: As for `keras.Model.fit`.
            class_weight: As for `keras.Model.fit`.
            sample_weight: As for `keras.Model.fit`.
            initial_epoch: As for `keras.Model.fit`; what
                `RunCheckpoint.restore` returns continues a run.
            steps_per_epoch: As for `keras.Model.fit`.
            **kwargs: As for `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: If the data is empty, has no labels or labels that do
                not fit the networks, a distillation term lacks its teachers,
                a callback cannot work with several networks, no batch splits
                evenly over the replicas, or a BatchNormalization layer is not
                synchronized.
        """
        self._assert_ready("fit")
        callbacks = in_order(callbacks)
        self.data_follows_epochs = isinstance(x, EpochDataset)
        if self.data_follows_epochs:
            steps_per_epoch = steps_per_epoch or x.steps_per_epoch
            x = x.from_epoch(initial_epoch)
        check_not_empty(x)
        check_epoch_ends(x, steps_per_epoch)
        check_batches_split(
            x,
            batch_size,
            steps_per_epoch,
            validation_split,
            self._num_replicas,
        )
        watchers = []
        if isinstance(x, types.GeneratorType):
            counted = CountedGenerator(x)
            example, x = counted.example, counted.batches()
            watchers.append(StopAtDataEnd(counted))
        else:
            example = first_example(x, y, sample_weight)
        if self._num_replicas > 1:
            watchers.append(DroppedExamples(self._scoring, self._num_replicas))
        for watcher in watchers:
            watcher.set_model(self)
            watcher.set_params({"epochs": epochs})
            getattr(callbacks, "callbacks", callbacks).insert(0, watcher)
        self._prepare(*example)
        check_synchronized(self._networks, self._num_replicas)
        self._check_labels(x, y)
        if validation_data is not None:
            self._check_labels(
                *keras.utils.unpack_x_y_sample_weight(validation_data)[:2]
            )
        listed = getattr(callbacks, "callbacks", callbacks)
        for callback in listed:
            if isinstance(callback, CheckpointCallback):
                if callback.before_training(self, list(listed)):
                    initial_epoch = max(initial_epoch, epochs)
        self.health.watch(callbacks, grafts_of(listed))
        with label_errors_named(self._num_units):
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                # Keras warns where it is asked to shuffle what it cannot.
                shuffle=shuffle and not _comes_in_order(x),
                class_weight=class_weight,
                sample_weight=sample_weight,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                **kwargs,
            )

    def evaluate(self, x=None, y=None, *args, **kwargs):
        self._assert_ready("evaluate")
        self._prepare(*first_example(x, y, kwargs.get("sample_weight")))
        with label_errors_named(self._num_units):
            return super().evaluate(x, y, *args, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        self._assert_ready("train_on_batch")
        self._prepare(*first_example(x, y, sample_weight))
        check_synchronized(self._networks, self._num_replicas)
        return super().train_on_batch(x, y, sample_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        self._assert_ready("test_on_batch")
        self._prepare(*first_example(x, y, sample_weight))
        return super().test_on_batch(x, y, sample_weight, **kwargs)

    def _assert_ready(self, method):
        if self._scoring is None:
            raise ValueError(
                f"Call `compile()` before `{method}()`: the trainer needs a "
                "loss and an optimizer."
            )
        if method in ("fit", "train_on_batch"):
            check_terms_ready(self.distillation, method)

    def _prepare(self, x, y, sample_weight):
        """Builds networks, metrics and slots from an example batch of one."""
        if x is not None and y is None:
            raise ValueError(
                "The networks learn from labels, and none came with the "
                "inputs. Give `y`, or batches of `(x, y)`. Received: y=None"
            )
        if self._prepared or x is None:
            return
        views = views_of(x, self.num_networks)
        with self.distribute_strategy.scope():
            outputs = [
                forward(network, _symbolic(views[k]), training=False)
                for k, network in enumerate(self._networks)
            ]
            self.built = True
            check_outputs(outputs, self.distillation)
            self._taps = feature_taps(self._networks, self._active_terms)
            self.optimizer.build_for(self._networks)
            self._scoring.build(
                views_of(y, self.num_networks)[0],
                tf.zeros([1, *outputs[0].shape[1:]]),
                views_of(sample_weight, self.num_networks)[0],
            )
            self._num_units = outputs[0].shape[-1]
            self._prepared = True

    def _check_labels(self, x, y):
        labels = all_labels(x, y)
        if labels is not None and self._prepared:
            for part in views_of(labels, self.num_networks):
                check_labels(part, self._num_units, self.loss)

    @property
    def metrics(self):
        return self._scoring.metrics if self._scoring else []

    def get_metrics_result(self):
        return self._scoring.results(self.health.live())

    @property
    def _from_logits(self):
        if self._scoring is not None:
            return self._scoring.from_logits
        return final_activation(self._networks[0]) == "linear"

    def call(self, inputs, training=False):
        predictions = self._predictions(
            views_of(inputs, self.num_networks), training
        )
        return mean_probabilities(
            predictions.outputs, self.health.live(), self._from_logits
        )

    def train_step(self, data):
        with once_drawn(data):
            return self._train_on(data)

    def test_step(self, data):
        with once_drawn(data):
            batch = Batch.of(data, self.num_networks, self._num_replicas)
            predictions, losses, _ = self._forward(batch, False, tf.ones([]))
            return self._score(batch, predictions, losses, losses.supervised)

    def _train_on(self, data):
        batch = Batch.of(data, self.num_networks, self._num_replicas)
        kept = evenly_split(batch.size)
        before = [snapshot(n.non_trainable_weights) for n in self._networks]
        with tapes_of(self._networks) as tapes:
            with own_random_numbers(self._networks):
                predictions, losses, finite = self._forward(batch, True, kept)
            scaled = [
                optimizer.scale_loss(loss)
                for optimizer, loss in zip(
                    self._optimizers, losses.minimised, strict=True
                )
            ]
        update_all(
            self._networks,
            self._optimizers,
            tapes,
            scaled,
            before,
            losses.live,
            predictions.shared,
        )
        self.health.record(finite, kept)
        if self._num_replicas > 1:
            self._scoring.count_examples(batch.size, kept)
            batch = batch.first(batch.size * tf.cast(kept, batch.size.dtype))
            predictions = predictions.first(batch.size)
        return self._score(batch, predictions, losses, losses.minimised)

    def predict_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if self._num_replicas == 1:
            return self(x, training=False)
        size = tf.shape(keras.tree.flatten(x)[0])[0]
        return self(padded(x), training=False)[:size]

    def _forward(self, batch, training, kept):
        predictions = self._predictions(batch.inputs, training, self._taps)
        if self._num_replicas > 1:
            predictions = predictions.first(batch.size)
        supervised = supervised_losses(
            self._scoring, batch, predictions, self._num_replicas
        )
        finite = finite_networks(predictions.outputs, supervised)
        losses = step_losses(
            batch,
            predictions.outputs,
            supervised,
            self._active_terms,
            finite * kept * self.health.not_retired(),
            self._from_logits,
            self._num_replicas,
            [optimizer.iterations for optimizer in self._optimizers],
            predictions.features,
        )
        return predictions, losses, finite

    def _predictions(self, views, training, taps=None):
        # Statistics over several replicas are stock Keras' to synchronise.
        fast = self.fused_batch_norm and self._num_replicas == 1
        networks = self._networks if fast else []
        # What is tapped may be the output of a padding layer.
        padded = networks if taps is None else []
        with fused_batch_norm(networks), fused_padding(padded):
            return forward_all(
                self._networks,
                views,
                training,
                taps,
                # XLA compiles a function anew for each of its calls.
                share=fast and not self.jit_compile,
                recompute=self.recompute,
            )

    def _score(self, batch, predictions, losses, reported):
        outputs = finite_outputs(predictions.outputs, losses.live)
        ensemble = None
        if batch.shared_labels:
            ensemble = mean_probabilities(
                outputs, losses.live, self._from_logits
            )
        self._scoring.update_losses(
            [loss * self._num_replicas for loss in reported],
            [loss * self._num_replicas for loss in losses.distillation],
            losses.live,
            batch.size,
        )
        self._scoring.update_metrics(
            batch.labels, outputs, batch.weights, ensemble
        )
        return reducible(self.get_metrics_result(), self.distribute_strategy)

    @property
    def _num_replicas(self):
        return self.distribute_strategy.num_replicas_in_sync

    @property
    def _active_terms(self):
        """The terms in the graph: 0 times NaN is NaN, so weight 0 is out."""
        return [
            term
            for term in self.distillation
            if term.weight
            and term.ready
            and (self.num_networks > 1 or not term.needs_peers)
        ]

    def __dir__(self):
        # Keras' saving walks these names, and would store the best network's
        # weights under a name that a fresh trainer has not got.
        return [name for name in super().__dir__() if name != "best_network"]


def _symbolic(x):
    return keras.tree.map_structure(
        lambda tensor: keras.KerasTensor(
            (None, *tensor.shape[1:]), tensor.dtype.name
        ),
        x,
    )


def _comes_in_order(x):
    return isinstance(x, tf.data.Dataset | types.GeneratorType)
