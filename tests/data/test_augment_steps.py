import pytest

from keras_graft.data.augment_steps import AugmentSteps
from keras_graft.data.augment_steps import augment_steps
from keras_graft.data.augment_steps import check_channels
from keras_graft.data.names import AUGMENTS


@pytest.mark.parametrize("name", AUGMENTS)
def test_one_name_is_written_as_it_is(name):
    assert str(augment_steps(name)) == name


@pytest.mark.parametrize(
    "augment, steps, text",
    [
        ("none", AugmentSteps("none"), "none"),
        ("trivial", AugmentSteps("standard", "trivial"), "trivial"),
        (
            "standard,trivial,erasing",
            AugmentSteps("standard", "trivial", True),
            "trivial,erasing",
        ),
        (
            "cutmix, erasing,augmix,resized_crop",
            AugmentSteps("resized_crop", "augmix", True, "cutmix"),
            "resized_crop,augmix,erasing,cutmix",
        ),
    ],
)
def test_order_and_what_goes_unsaid_make_no_other_run(augment, steps, text):
    assert augment_steps(augment) == steps
    assert str(steps) == text
    assert augment_steps(text) == steps


@pytest.mark.parametrize(
    "augment, message",
    [
        ("trivail", "did you mean trivial"),
        ("standard,", "`augment` must be one of none, standard, .*''"),
        ("", "or several with commas between"),
        ("erasing,trivial,erasing", "erasing is there 2 times"),
        ("none,erasing", "none is no augmentation at all"),
        ("standard,resized_crop", "standard and resized_crop each crop"),
        ("trivial,augmix", "trivial and augmix each change colors"),
        ("mixup,erasing,cutmix", "mixup and cutmix each mix"),
    ],
)
def test_what_cannot_be_together_is_refused(augment, message):
    with pytest.raises(ValueError, match=message):
        augment_steps(augment)


def test_only_what_changes_colors_needs_grey_or_rgb():
    for augment in ("none", "resized_crop", "erasing,cutmix"):
        check_channels(augment, 4)
    for augment in ("randaugment", "trivial", "augmix,erasing"):
        for channels in (1, 3):
            check_channels(augment, channels)
        with pytest.raises(ValueError, match="these have 4"):
            check_channels(augment, 4)
