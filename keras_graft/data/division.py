"""Which image is trained on, chosen by and tested on."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_graft.data.splits import cut_rows
from keras_graft.data.splits import keep_rows
from keras_graft.data.splits import stratified_draw

# Of images without a test split.
TEST_SHARE = 0.2
# Third stream of the run's seed; `splits` has the two before it.
_TEST_STREAM = 2


@dataclasses.dataclass(frozen=True)
class Division:
    """Rows of images, int, sorted.

    Attributes:
        train: To train on.
        validation: To choose the shipped network by, or None.
        test: To test on.
        notes: Sentences about what was left open.
    """

    train: np.ndarray
    validation: np.ndarray | None
    test: np.ndarray
    notes: tuple[str, ...]

    def names(self, count: int) -> list[str]:
        """The split of each of `count` images."""
        names = np.full(count, "unused", dtype=object)
        names[self.train] = "train"
        names[self.test] = "test"
        if self.validation is not None:
            names[self.validation] = "validation"
        return names.tolist()


def divide(
    where: str,
    given: Sequence[str | None],
    class_names: Sequence[str],
    labels: np.ndarray,
    *,
    train_examples: int | None,
    validation_fraction: float,
    seed: int,
) -> Division:
    """Divides images by the splits that they come in, or by draw.

    Without a test split the validation split tests; without both a fifth of
    each class does. Without a validation split that is left, one is cut from
    the training images.

    Args:
        where: The folder or file, for messages.
        given: The split of each image: `"train"`, `"validation"` or
            `"test"`; None: open, to train on or to be drawn.
        class_names: Names of the classes.
        labels: Class of each image, int32; a class may have none.
        train_examples: How many training images to keep; None: all.
        validation_fraction: Share of them that becomes the validation split;
            0: there is none, and one that is given is not used.
        seed: Seed of every draw.

    Raises:
        ValueError: If a class has too few images for it, or a number is out
            of its range.
    """
    splits = np.array([split or "train" for split in given])
    train, validation, test = (
        np.flatnonzero(splits == split)
        for split in ("train", "validation", "test")
    )
    notes = []
    if not len(test) and len(validation):
        test, validation = validation, test
        notes.append("There is no test split: the validation split tests.")
    drawn = not len(test)
    cut = validation_fraction > 0 and not len(validation)
    present = np.unique(labels)
    _refuse_few(where, class_names, present, labels[train], drawn, cut)
    if drawn:
        chosen = stratified_draw(
            labels[train],
            round(TEST_SHARE * len(train)),
            np.random.default_rng([seed, _TEST_STREAM]),
        )
        train, test = np.delete(train, chosen), train[chosen]
        notes.append(
            f"There is no test split: {TEST_SHARE:.0%} of each class, drawn by "
            "--seed, test."
        )
    if validation_fraction == 0 and len(validation):
        notes.append(
            "--validation_fraction=0: the validation split is not used."
        )
        validation = validation[:0]
    if train_examples is not None:
        train = train[
            keep_rows(
                labels[train],
                train_examples,
                len(class_names),
                where,
                seed,
            )
        ]
    if cut:
        rest, chosen = cut_rows(labels[train], validation_fraction, seed)
        train, validation = train[rest], train[chosen]
    _refuse_lost(class_names, present, labels[train], train_examples)
    return Division(
        train, validation if len(validation) else None, test, tuple(notes)
    )


def _refuse_few(where, class_names, present, labels, drawn, cut):
    """Refuses classes that a draw would leave without training images."""
    least = 1 + drawn + cut
    counts = np.bincount(labels, minlength=len(class_names))
    few = [
        f"{class_names[label]!r} ({counts[label]})"
        for label in present
        if counts[label] < least
    ]
    if few:
        drawn_splits = " and ".join(
            name
            for name, applies in (("the test", drawn), ("the validation", cut))
            if applies
        )
        raise ValueError(
            f"{where} has too few images to train on of {', '.join(few)}"
            f": {drawn_splits} split is drawn from them, so that every class "
            f"needs {least} at least. Add images, remove the class, or make "
            "the splits yourself."
        )


def _refuse_lost(class_names, present, labels, train_examples):
    """Refuses classes that a draw did leave without training images."""
    lost = [class_names[k] for k in np.setdiff1d(present, labels)]
    if lost:
        raise ValueError(
            f"No image of {', '.join(map(repr, lost))} is left to train on, "
            f"with train_examples={train_examples}. Give more of them, a "
            "smaller validation_fraction or another seed, or add images."
        )
