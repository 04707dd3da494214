"""The names that flags may take; imports nothing, so that they are cheap."""

DATASETS = ("digits", "cifar10", "cifar10_16", "cifar100")
AUGMENTS = (
    "none",
    "standard",
    "resized_crop",
    "randaugment",
    "trivial",
    "augmix",
    "erasing",
    "cutmix",
    "mixup",
)
# Augmentations that choose a part of an image.
CROPS = ("standard", "resized_crop")
# Augmentations that draw what happens to each image.
POLICIES = ("randaugment", "trivial", "augmix")
BATCHES = ("shared", "own")
CLASS_BALANCES = ("none", "sample", "weight")
# What a dataset of one's own is read from, as in `folder:PATH`.
SOURCES = ("folder", "npz", "tfds")
# Those whose images are encoded, and are read when they are asked for.
IMAGE_SOURCES = ("folder", "tfds")
RESIZES = ("crop", "pad", "stretch")
BAD_IMAGES = ("refuse", "skip")
DISTINCT = ("none", "augment", "regularise")
# Augmentations that mix images, and their labels with them.
MIXING = ("cutmix", "mixup")
CACHES = ("auto", "memory", "disk", "none")
# What networks are trained for.
TASKS = ("classification", "recognition")
# By task what its networks are compared by.
SCORES = {"classification": "accuracy", "recognition": "mAP"}
# What images of identities are read from, beside `folder:PATH`.
RETRIEVAL_SOURCES = ("market1501", "duke", "cuhk03", "msmt17", "market_layout")
RETRIEVAL_DATASETS = ("digits",)
POOLINGS = ("average", "generalized_mean")
METRIC_LOSSES = ("none", "triplet", "soft_triplet", "circle")


def source_of(dataset: str) -> str:
    """What a dataset is read from: one of `SOURCES`, empty for a built-in."""
    source, colon, _ = dataset.partition(":")
    return source if colon else ""
