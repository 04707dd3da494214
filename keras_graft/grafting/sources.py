"""Where the weights of a graft come from: a small class for each source."""

import abc
import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_graft.grafting.averages import with_averages
from keras_graft.grafting.external import graft_external
from keras_graft.grafting.filter_sources import internal_graft
from keras_graft.grafting.filter_sources import noise_graft
from keras_graft.grafting.gamma import GammaScales
from keras_graft.grafting.gamma import gamma_scales
from keras_graft.grafting.gamma import graft_gamma
from keras_graft.grafting.graft_plan import KERNELS
from keras_graft.grafting.graft_plan import GraftPlan
from keras_graft.grafting.graft_plan import graft_plan
from keras_graft.grafting.graft_plan import write
from keras_graft.structure.kernel_measures import kernel_entropy
from keras_graft.structure.kernel_measures import kernel_l1

# Coefficients of the live networks, by the path of a kernel.
Coefficients = dict[str, list[float]]


class GraftSource(abc.ABC):
    """One way to graft, once it is aligned to networks.

    Attributes:
        plan: What a graft reads and writes, from `align`.
    """

    plan: GraftPlan

    @abc.abstractmethod
    def align(self, networks: Sequence[keras.Model]) -> list[str]:
        """Finds the weights that belong together.

        Args:
            networks: N built models.

        Returns:
            Sentences on what is left out or done otherwise.

        Raises:
            ValueError: If architectures differ or there is nothing to graft.
        """

    def add_averages(self, optimizers: Sequence[Any]) -> None:
        """Lets the averages that optimizers keep be grafted, too."""
        del optimizers  # A network's own filters say nothing of an average.

    @abc.abstractmethod
    def graft(self, live: Sequence[int], epoch: int) -> Coefficients:
        """Grafts now.

        Args:
            live: Positions of the networks that take part.
            epoch: Counted from 0.
        """


class PeerSource(GraftSource):
    """Every network takes in weights of the one before it in the ring.

    Args:
        blend: `"kernels"` or `"block"`.
    """

    def __init__(self, blend: str):
        self.blend = blend

    def align(self, networks):
        self.plan = graft_plan(networks, self.blend)
        notes = _left_out(self.plan)
        if len(networks) == 1:
            notes.append("One network has no peers: grafting does nothing.")
        return notes

    def graft(self, live, epoch):
        del epoch  # Peers have what they have.
        return self._graft(live) if len(live) > 1 else {}

    def _graft(self, live):
        raise NotImplementedError


class LayerSource(PeerSource):
    """By layer: the layer that holds more information gives more.

    Args:
        blend: `"kernels"` or `"block"`.
        criterion: `"entropy"` or `"l1"`.
        num_bins: Bins of the entropy's histogram.
        amplitude: In [0, 1].
        slope: At least 0.
    """

    def __init__(self, blend, criterion, num_bins, amplitude, slope):
        super().__init__(blend)
        self.amplitude = amplitude
        self.slope = slope
        self.information: Callable = functools.partial(
            kernel_entropy, num_bins=num_bins
        )
        if criterion == "l1":
            self.information = kernel_l1

    def align(self, networks):
        notes = super().align(networks)
        if not self.plan.has_graph:
            notes.append(
                "A network, or a layer made of layers, has no graph (it is "
                "subclassed): the layers in it take the coefficient of the "
                "convolution created before them."
            )
        return notes

    def add_averages(self, optimizers):
        self.plan, _ = with_averages(self.plan, optimizers)

    def _graft(self, live):
        return graft_external(
            self.plan, live, self.information, self.amplitude, self.slope
        )


class GammaSource(PeerSource):
    """By filter: the filter with the larger gamma gives more.

    Args:
        blend: `"kernels"` or `"block"`.
    """

    _scales: GammaScales

    def align(self, networks):
        notes = super().align(networks)
        self._scales = gamma_scales(networks, self.plan)
        notes += [
            f"No BatchNormalization with gammas takes '{path}' alone: its "
            "filters are weighed by the channels that they read, and "
            "averaged where those have no gammas either."
            for path in self._scales.unscaled
        ]
        if not self._scales.has_graph:
            notes.append(
                "A network, or a layer made of layers, has no graph (it is "
                "subclassed): a convolution in it is weighed by the first "
                "BatchNormalization created after it, and what reads its "
                "channels is not."
            )
        return notes

    def add_averages(self, optimizers):
        self.plan, origins = with_averages(self.plan, optimizers)
        of = self._scales.of
        self._scales = dataclasses.replace(
            self._scales, of=[*of, *(of[i] for i in origins)]
        )

    def _graft(self, live):
        return graft_gamma(self.plan, self._scales, live)


class InternalSource(GraftSource):
    """A network's largest filters are added to its invalid ones.

    Args:
        threshold: l1 norm below which a filter is invalid.
    """

    def __init__(self, threshold):
        self._threshold = threshold

    def align(self, networks):
        self.plan = graft_plan(networks, KERNELS)
        return _left_out(self.plan)

    def graft(self, live, epoch):
        for i, site in enumerate(self.plan.kernels):
            grafted = [
                self._grafted(kernel, site.filter_axes, (epoch, k, i))
                for k, kernel in zip(live, site.read(live), strict=True)
            ]
            write(site, live, grafted)
        return {}

    def _grafted(self, kernel, filter_axes, place):
        del place
        return internal_graft(kernel, filter_axes, self._threshold)


class NoiseSource(InternalSource):
    """Gaussian noise is added to invalid filters.

    Args:
        threshold: l1 norm below which a filter is invalid.
        decay: The noise of epoch e has the standard deviation `decay**e`.
    """

    def __init__(self, threshold, decay):
        super().__init__(threshold)
        self._decay = decay

    def _grafted(self, kernel, filter_axes, place):
        sigma = self._decay ** place[0]
        # A function of the place alone, so that a resumed run repeats it.
        rng = np.random.default_rng(list(place))
        return noise_graft(kernel, filter_axes, self._threshold, sigma, rng)


def _left_out(plan):
    return [
        f"Not grafted: '{path}', since {reason}."
        for path, reason in plan.skipped
    ]
