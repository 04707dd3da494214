"""What makes networks that train together differ: habits of their own."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Habits:
    """How one network is trained beside what holds for all.

    Attributes:
        mixing: `"mixup"`, `"cutmix"`, or None for images as they are.
        erasing: Share of the images in which a box is erased, in [0, 1].
        smoothing: Share of the label that goes to all classes, in [0, 1].
        decay: Factor of the weight decay.
    """

    mixing: str | None = None
    erasing: float = 0.0
    smoothing: float = 0.0
    decay: float = 1.0


# By position, and then again: the strengths that PAPA draws from (arXiv
# 2304.03094). The first network is as without.
_HABITS = (
    Habits(),
    Habits("mixup", erasing=0.15, smoothing=0.05, decay=0.5),
    Habits("cutmix", erasing=0.35, smoothing=0.1, decay=2.0),
    Habits("mixup", erasing=0.35, smoothing=0.05, decay=1.0),
)


def habits_of(
    distinct: str, num_networks: int, same_images: bool
) -> list[Habits]:
    """The habits of N networks.

    Args:
        distinct: One of `names.DISTINCT`. `"augment"`: how images are mixed
            and erased; `"regularise"`: labels and weight decay too.
        num_networks: N.
        same_images: Whether the networks have to see the same images, since
            they learn from each other: nothing is mixed then.
    """
    if distinct == "none":
        return [Habits()] * num_networks
    found = [_HABITS[k % len(_HABITS)] for k in range(num_networks)]
    if distinct == "augment":
        found = [Habits(h.mixing, h.erasing) for h in found]
    if same_images:
        found = [dataclasses.replace(h, mixing=None) for h in found]
    return found


def mixes_labels(habits: list[Habits]) -> bool:
    """Whether labels are probabilities of classes, for any network."""
    return any(h.mixing is not None or h.smoothing for h in habits)
