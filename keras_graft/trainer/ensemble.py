"""N networks as one Keras model, which predicts what they predict together."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import keras

from keras_graft.acceleration import resolve_acceleration
from keras_graft.acceleration.switch import Accelerate
from keras_graft.distribution.keras_gaps import HiddenFromSaving
from keras_graft.distribution.keras_gaps import Prebuilt
from keras_graft.structure.heads import Head
from keras_graft.trainer import step
from keras_graft.trainer.arguments import check_networks
from keras_graft.trainer.arguments import renamed
from keras_graft.trainer.head_kinds import heads_of
from keras_graft.trainer.health import Health
from keras_graft.trainer.losses import has_own_loss
from keras_graft.trainer.monitors import Monitor
from keras_graft.trainer.monitors import check_monitor
from keras_graft.trainer.monitors import resolved
from keras_graft.trainer.scoring import Scoring
from keras_graft.trainer.status import StatusList
from keras_graft.trainer.views import views_of

# A kind for all outputs, or one for each by name; None where they tell.
Heads = str | dict[str, str] | None


class Ensemble(HiddenFromSaving, Prebuilt, keras.Model):
    """N networks, each live, masked or retired; called, the mean of the live.

    Args:
        networks: List of Keras models with the same inputs and outputs, which
            share no layer.
        monitor: As for `GraftTrainer`.
        mode: Likewise.
        accelerate: Likewise.
        heads: Likewise.
        **kwargs: As for `keras.Model`.

    Raises:
        ValueError: If networks are missing or share a layer.
    """

    # A fresh trainer has got no best network.
    hidden_from_saving = ("best_network",)
    # What a config holds as lists of objects.
    config_lists: tuple[str, ...] = ("networks",)

    def __init__(
        self,
        networks: Sequence[keras.Model],
        monitor: str,
        mode: str,
        accelerate: Accelerate,
        heads: Heads = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_networks(networks)
        networks = list(networks)
        check_monitor(monitor, mode)
        # Named so that it is the first attribute that Keras' saving walks:
        # the networks are then stored once, under their position.
        self._networks = networks
        self.monitor = monitor
        self.mode = mode
        self.accelerate = accelerate
        self.heads = heads
        self._acceleration = resolve_acceleration(accelerate)
        self.health = Health(self)
        # Loss and metrics, once a subclass is compiled.
        self._scoring: Scoring | None = None
        self.built = all(network.built for network in networks)

    if TYPE_CHECKING:
        # Keras has no types: without this any argument would do.

        def predict(
            self,
            x: Any,
            batch_size: int | None = None,
            verbose: Any = "auto",
            steps: int | None = None,
            callbacks: Any = None,
        ) -> Any: ...

    @property
    def networks(self) -> list[keras.Model]:
        """The networks, in the order of the ring."""
        return list(self._networks)

    @property
    def num_networks(self) -> int:
        """N."""
        return len(self._networks)

    @property
    def status(self) -> StatusList:
        """Health by position: `"live"`, `"masked"` or `"retired"`.

        Assign `trainer.status[k] = "retired"` to take a network out.
        """
        return self.health.status

    @property
    def loss_variables(self) -> list[list[keras.Variable]]:
        """By network the variables of its loss, where that has any."""
        return self._scoring.loss_variables if self._scoring else []

    @property
    def best_network(self) -> keras.Model:
        """The live network with the best `monitor`, with its last weights.

        Judged by the last validated epoch; by the last one of training where
        there is no validation data, which is said once.

        Raises:
            ValueError: Before the first such epoch.
        """
        return self._networks[self.health.best()]

    def monitored(self) -> Monitor:
        """The log that `best_network` is chosen by, and which way is better.

        Raises:
            ValueError: If there is no such log, or nobody knows the way.
        """
        return resolved(
            self.monitor, self.mode, self._scoring, self.health.logs_of_judges
        )

    def build(self, input_shape=None):
        for k, network in enumerate(self._networks):
            if not network.built:
                network.build(views_of(input_shape, self.num_networks)[k])
        self.built = True

    def get_build_config(self):
        if not self.built:
            return None
        return {"networks": [n.get_build_config() for n in self._networks]}

    def build_from_config(self, config):
        # Also what a file says of the networks that lack it in their own.
        known = (config or {}).get("networks", [])
        for network, of_network in zip(self._networks, known, strict=False):
            if of_network and not network.built:
                network.build_from_config(of_network)
        self.built = all(network.built for network in self._networks)
        if self.built and self.compiled:
            # Slots must exist before Keras loads their values.
            with self.distribute_strategy.scope():
                self.optimizer.build_for(self._networks)

    def get_config(self):
        config = super().get_config()
        for name in self.config_lists:
            config[name] = [
                keras.saving.serialize_keras_object(item)
                for item in getattr(self, name)
            ]
        config.update(
            monitor=self.monitor,
            mode=self.mode,
            accelerate=self.accelerate,
            heads=self.heads,
        )
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # Keras takes a functional model's config apart while it reads it.
        config = renamed(copy.deepcopy(config))
        for name in cls.config_lists:
            config[name] = [
                keras.saving.deserialize_keras_object(
                    item, custom_objects=custom_objects
                )
                for item in config[name]
            ]
        return cls(**config)

    def call(self, inputs, training=False):
        return step.predictions_of(self._parts(), inputs, training)

    def predict_step(self, data):
        return step.predict_step(self._parts(), data)

    def _parts(self, **more):
        """What the steps work on."""
        # Statistics over several replicas are stock Keras' to synchronise.
        fast = self._acceleration.on and self._num_replicas == 1
        return step.StepParts(
            self._networks,
            self.health,
            heads_of=self.heads_of,
            strategy=self.distribute_strategy,
            accelerate=fast,
            # XLA compiles a function anew for each of its calls.
            share=fast
            and not self.jit_compile
            # It may look at what its layers have added.
            and not any(map(has_own_loss, self._networks)),
            recompute=self._acceleration.recompute,
            **more,
        )

    @property
    def _num_replicas(self):
        return self.distribute_strategy.num_replicas_in_sync

    def heads_of(self, outputs: Any) -> tuple[Head, ...]:
        """What the outputs of a network mean.

        Args:
            outputs: What a network gives, symbolic or not.

        Returns:
            A `Head` for each tensor of it, in `keras.tree` order.

        Raises:
            ValueError: If that is not known: `heads` has to say it.
        """
        return heads_of(
            self._networks[0],
            outputs,
            self.loss if self.compiled else None,
            self.heads,
            needed=self._needs_heads,
        )

    @property
    def _needs_heads(self):
        return self.num_networks > 1
