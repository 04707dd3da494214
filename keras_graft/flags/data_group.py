"""The flags of what the networks see."""

from keras_graft.data.names import BAD_IMAGES
from keras_graft.data.names import BATCHES
from keras_graft.data.names import CACHES
from keras_graft.data.names import CLASS_BALANCES
from keras_graft.data.names import DATASETS
from keras_graft.data.names import DISTINCT
from keras_graft.data.names import RESIZES
from keras_graft.data.names import RETRIEVAL_SOURCES
from keras_graft.data.names import SOURCES
from keras_graft.data.names import TASKS
from keras_graft.flags.spec import Spec
from keras_graft.flags.value_types import Augment
from keras_graft.flags.value_types import Choice
from keras_graft.flags.value_types import Dataset
from keras_graft.flags.value_types import Integer
from keras_graft.flags.value_types import Number
from keras_graft.flags.value_types import Path

DATA = (
    Spec(
        "task",
        "classification",
        Choice(TASKS),
        "classification: tell classes apart; recognition: learn identities, "
        "and find images of others by their embeddings.",
        quiet=True,
    ),
    Spec(
        "dataset",
        "digits",
        Dataset(DATASETS, (*SOURCES, *RETRIEVAL_SOURCES)),
        "Images to train on. folder:PATH is a folder of JPEG, PNG, BMP, GIF "
        "or WebP files of your own: one folder a class, or train/, val/ and "
        "test/ above them; npz:PATH a file of arrays x_train, y_train, x_test "
        "and y_test, or x and y; tfds:NAME a classification dataset of TFDS. "
        "For recognition: digits, folder:PATH with one folder an identity, and "
        "the folders of the benchmarks.",
    ),
    Spec(
        "data_dir",
        None,
        Path(),
        "Folder of the prepared TFDS datasets, from which cifar10, "
        "cifar10_16, cifar100, imagenet2012 and tfds:NAME are read; digits, "
        "folder:PATH and npz:PATH are where they are. Not set: the "
        "environment variable TFDS_DATA_DIR, else ~/tensorflow_datasets.",
    ),
    Spec(
        "train_examples",
        None,
        Integer(1),
        "Number of training images, drawn before the validation split is "
        "cut: for small-data studies and quick tries. Not set: all.",
    ),
    Spec(
        "validation_fraction",
        0.1,
        Number("[0, 1)"),
        "Share of the training images (for recognition: of the identities) "
        "that is held out to choose the shipped network. 0 chooses on the "
        "test set, as the paper did, and says so in results.json.",
    ),
    Spec(
        "image_size",
        None,
        # A larger one does not fit into the memory of a few threads.
        Integer(8, 8192),
        "Pixels at a side that the images of folder:PATH and tfds:NAME are "
        "brought to. Not set: the median of their shorter sides, 224 at most.",
    ),
    Spec(
        "resize",
        "crop",
        Choice(RESIZES),
        "How the images of folder:PATH and tfds:NAME become square. crop: "
        "their middle; pad: the whole, on black; stretch: the whole, with "
        "other proportions.",
    ),
    Spec(
        "bad_images",
        "refuse",
        Choice(BAD_IMAGES),
        "What to do where images of folder:PATH or tfds:NAME cannot be used. "
        "refuse: name them all and stop; skip: name them and go on without.",
    ),
    Spec(
        "cache",
        "auto",
        Choice(CACHES),
        "Where the decoded images of folder:PATH and tfds:NAME are kept. "
        "auto: in memory up to a quarter of it, else on the disk of --workdir "
        "up to half of what is free there, else nowhere. The numbers are the "
        "same.",
    ),
    Spec(
        "augment",
        "none",
        Augment(),
        "Augmentation of the training images, a stream of its own for "
        "every network; several at once with commas between. standard: pad, "
        "crop and flip; resized_crop: a part of 8 to 100 percent, enlarged, "
        "and flip. The others come on top of resized_crop where it is named, "
        "else of standard, in this order: randaugment, trivial (one operation "
        "of any strength) or augmix (three changed copies, blended in); "
        "erasing: a box of noise in one image of two; cutmix or mixup.",
    ),
    Spec(
        "class_balance",
        "none",
        Choice(CLASS_BALANCES),
        "What is done about classes of different sizes. sample: each is seen "
        "equally often, images of small ones several times; weight: each "
        "weighs the same in the loss; none: nothing. Accuracies are of the "
        "images as they are.",
        quiet=True,
    ),
    Spec(
        "batches",
        "shared",
        Choice(BATCHES),
        "shared: the networks see the same images in a step; own: each "
        "has its own order, as in the paper, which rules out mutual "
        "distillation.",
    ),
    Spec(
        "distinct",
        "none",
        Choice(DISTINCT),
        "What makes networks differ, beside the first. augment: boxes are "
        "erased and, where the networks do not teach each other, images "
        "mixed, for each in its own way; regularise: with smoothed labels "
        "and a weight decay of its own as well.",
        quiet=True,
    ),
)
