"""What `GraftTrainer.compile` was given."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.optimizers.moving_averages import inner_optimizer
from keras_graft.optimizers.network_optimizers import with_loss_scales
from keras_graft.structure.scope_names import check_scope_names
from keras_graft.trainer.arguments import check_loss
from keras_graft.trainer.arguments import check_whole
from keras_graft.trainer.losses import has_own_loss
from keras_graft.trainer.scoring import Scoring


@dataclasses.dataclass(frozen=True)
class CompileArguments:
    """What `compile` was given, with an optimizer for each network.

    A plain object: Keras would track, and save, what a list or a dict holds.
    """

    optimizer: list[keras.optimizers.Optimizer]
    loss: Any
    loss_weights: Any
    metrics: Any
    weighted_metrics: Any
    run_eagerly: bool
    steps_per_execution: int
    jit_compile: Any
    auto_scale_loss: bool

    def check(self, networks: Sequence[keras.Model], num_replicas: int) -> None:
        """Refuses what cannot be meant, or does not work on replicas.

        Args:
            networks: N models.
            num_replicas: Number of replicas in sync.

        Raises:
            ValueError: Naming the argument.
        """
        check_loss(self.loss, networks)
        if not self.run_eagerly:
            for k, network in enumerate(networks):
                check_scope_names(network, f"network_{k}")
        check_compiled(
            self.loss,
            self.optimizer,
            self.steps_per_execution,
            self.jit_compile,
            num_replicas,
        )

    def of_any_model(self) -> dict[str, Any]:
        """What does not depend on how many networks there are."""
        return {
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": self.jit_compile,
        }

    def scoring(self, networks: Sequence[keras.Model]) -> Scoring:
        """Loss and metrics, in the current strategy's scope.

        Args:
            networks: N models.
        """
        for network in filter(has_own_loss, networks):
            # It asks for the compiled loss.
            network.compile(loss=self.loss, loss_weights=self.loss_weights)
        return Scoring(
            networks,
            self.loss,
            self.loss_weights,
            self.metrics,
            self.weighted_metrics,
        )

    def scaled_optimizers(
        self, networks: Sequence[keras.Model]
    ) -> list[keras.optimizers.Optimizer]:
        """The optimizers, with a loss scale where a network wants one.

        Args:
            networks: N models.
        """
        if self.auto_scale_loss:
            return with_loss_scales(self.optimizer, networks)
        return self.optimizer

    def with_jit_compile(self, jit_compile: bool) -> "CompileArguments":
        """The same with what `jit_compile="auto"` came to."""
        return dataclasses.replace(self, jit_compile=jit_compile)

    def serialized(self) -> dict[str, Any]:
        """A config. Made when it is asked for: a loss need not have one."""
        return keras.saving.serialize_keras_object(dict(vars(self)))


def check_compiled(
    loss: Any,
    optimizers: Sequence,
    steps_per_execution: int,
    jit_compile: Any,
    replicas: int,
) -> None:
    """Refuses what cannot be meant, or does not work on several replicas.

    Args:
        loss: What `compile(loss=...)` was given.
        optimizers: One for each network.
        steps_per_execution: What `compile(steps_per_execution=...)` was given.
        jit_compile: What `compile(jit_compile=...)` was given.
        replicas: Number of replicas in sync.

    Raises:
        ValueError: Naming the argument.
    """
    check_whole("steps_per_execution", steps_per_execution, 1)
    if jit_compile not in (True, False, "auto"):
        raise ValueError(
            '`jit_compile` must be True, False or "auto". '
            f"Received: {jit_compile!r}"
        )
    if replicas == 1:
        return
    here = f"This trainer was made under a strategy with {replicas} replicas."
    if jit_compile is True:
        raise ValueError(
            "jit_compile=True works on one replica only: XLA cannot reach "
            f"a variable on another device. {here} Leave jit_compile out."
        )
    if steps_per_execution > 1:
        raise ValueError(
            f"steps_per_execution={steps_per_execution} works on one replica "
            "only: Keras repeats the step in a loop, in which TensorFlow "
            f"cannot merge replicas. {here} Leave steps_per_execution out."
        )
    if getattr(loss, "reduction", None) == "mean_with_sample_weight":
        raise ValueError(
            "reduction='mean_with_sample_weight' divides by the weights of "
            f"one replica's share of a batch. {here} Use "
            "reduction='sum_over_batch_size'."
        )
    for k, optimizer in enumerate(map(inner_optimizer, optimizers)):
        for name in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
            if getattr(optimizer, name, None):
                raise ValueError(
                    f"`{name}` of network_{k}'s optimizer works on one "
                    "replica only: Keras updates every so many steps in a "
                    "branch, in which TensorFlow cannot merge replicas. "
                    f"{here} Leave {name} out."
                )
