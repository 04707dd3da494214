"""What `--augment` means; imports nothing heavy, for flags read it."""

import difflib
from typing import NamedTuple

from keras_graft.data.names import AUGMENTS
from keras_graft.data.names import CROPS
from keras_graft.data.names import MIXING
from keras_graft.data.names import POLICIES


class AugmentSteps(NamedTuple):
    """What is done to the images of a batch, in this order.

    Attributes:
        crop: `"none"`, `"standard"` or `"resized_crop"`.
        policy: One of `names.POLICIES`, what changes colors and geometry of
            each image in a way of its own; None: nothing.
        erasing: Whether boxes are erased.
        mixing: One of `names.MIXING`; None: no image is mixed.
    """

    crop: str
    policy: str | None = None
    erasing: bool = False
    mixing: str | None = None

    def __str__(self) -> str:
        """The names in their order, without a `standard` that goes unsaid."""
        others = [
            self.policy,
            "erasing" if self.erasing else None,
            self.mixing,
        ]
        named = [name for name in others if name is not None]
        if self.crop == "standard" and named:
            return ",".join(named)
        return ",".join([self.crop, *named])


def augment_steps(augment: str) -> AugmentSteps:
    """Reads one of `names.AUGMENTS`, or several with commas between.

    The order in which they are given does not matter. Without
    `resized_crop`, everything but `none` comes on top of `standard`.

    Args:
        augment: The names.

    Returns:
        The steps.

    Raises:
        ValueError: If a name is unknown or there twice, or if two of them
            stand for the same step.
    """
    names = [name.strip() for name in augment.split(",")]
    for name in names:
        if name not in AUGMENTS:
            near = difflib.get_close_matches(name, AUGMENTS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(
                f"{hint}`augment` must be one of {', '.join(AUGMENTS)}, or "
                f"several with commas between. Received: {name!r}"
            )
        if names.count(name) > 1:
            raise ValueError(
                f"{name} is there {names.count(name)} times, and each is done "
                f"once. Name it once. Received: augment={augment!r}"
            )
    if "none" in names and len(names) > 1:
        raise ValueError(
            "none is no augmentation at all, and there are others beside it. "
            f"Leave it or them out. Received: augment={augment!r}"
        )
    for kind, what in (
        (CROPS, "crop an image"),
        (POLICIES, "change colors and geometry"),
        (MIXING, "mix the images of a batch"),
    ):
        several = [name for name in names if name in kind]
        if len(several) > 1:
            raise ValueError(
                f"{' and '.join(several)} each {what}, and one of them is "
                f"enough. Take one. Received: augment={augment!r}"
            )
    if names == ["none"]:
        return AugmentSteps("none")

    def one_of(kind):
        return next((name for name in names if name in kind), None)

    return AugmentSteps(
        crop=one_of(CROPS) or "standard",
        policy=one_of(POLICIES),
        erasing="erasing" in names,
        mixing=one_of(MIXING),
    )


def check_channels(augment: str, channels: int) -> None:
    """Refuses a policy on images that it has no colors for.

    Args:
        augment: As of `augment_steps`.
        channels: Of the images.

    Raises:
        ValueError: If they are neither grey nor RGB, and have to be.
    """
    policy = augment_steps(augment).policy
    if policy is not None and channels not in (1, 3):
        raise ValueError(
            f"augment={augment!r}: {policy} changes grey or RGB images, of 1 "
            f"or 3 channels, and these have {channels}. Leave it out (the "
            "other augmentations take any), or give images of 1 or 3 channels."
        )
