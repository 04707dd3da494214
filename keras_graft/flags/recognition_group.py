"""The flags of recognition: images of identities, embeddings, losses."""

from keras_graft.data.names import METRIC_LOSSES
from keras_graft.data.names import POOLINGS
from keras_graft.data.names import RETRIEVAL_SOURCES
from keras_graft.flags.spec import Spec
from keras_graft.flags.value_types import CameraPattern
from keras_graft.flags.value_types import Choice
from keras_graft.flags.value_types import Dataset
from keras_graft.flags.value_types import ImageShape
from keras_graft.flags.value_types import Integer
from keras_graft.flags.value_types import Number

RECOGNITION = (
    Spec(
        "judged_on",
        None,
        Dataset((), ("folder", *RETRIEVAL_SOURCES)),
        "Dataset whose query and gallery test, where it is another than is "
        "trained on. Not set: those of --dataset.",
    ),
    Spec(
        "image_shape",
        None,
        ImageShape(),
        "What images are stretched to. Not set: 256x128, of a person.",
    ),
    Spec(
        "camera_pattern",
        None,
        CameraPattern(),
        "Of folder:PATH: what is searched in a file's name; what its group "
        "holds is the camera. Not set: there are no cameras, and every image "
        "counts as one of its own.",
    ),
    Spec(
        "images_per_identity",
        None,
        Integer(2),
        "K: images of an identity in a batch, --batch_size / K identities. "
        "Not set: images in random order.",
    ),
    Spec(
        "pad",
        0,
        Integer(0),
        "Pixels of black at each side before a crop at random to the former "
        "size. Like --flip and --erasing a stream of its own for every "
        "network.",
    ),
    Spec("flip", False, None, "Mirror one training image in two."),
    Spec(
        "erasing",
        0.0,
        Number("[0, 1]"),
        "Probability that a box of a training image is erased.",
    ),
    Spec(
        "pooling",
        "average",
        Choice(POOLINGS),
        "How the feature map becomes a vector; generalized_mean has the "
        "exponent 3.",
    ),
    Spec(
        "neck",
        True,
        None,
        "A BatchNormalization without shift between features and embedding.",
    ),
    Spec(
        "embedding_size",
        None,
        Integer(1),
        "Numbers in an embedding. Not set: the channels of the --model.",
    ),
    Spec(
        "last_stride_1",
        False,
        None,
        "Leave out the last halving of the feature map.",
    ),
    Spec(
        "metric_loss",
        "none",
        Choice(METRIC_LOSSES),
        "Loss between the images of a batch, beside that of the identities. "
        "triplet: batch-hard, of margin 0.3; soft_triplet: of a soft margin; "
        "circle: margin 0.25, gamma 128.",
    ),
    Spec(
        "metric_loss_weight",
        1.0,
        Number("(0, inf)"),
        "Weight of that loss, next to 1 for the identities.",
    ),
    Spec(
        "similarity_weight",
        0.0,
        Number("[0, inf)"),
        "Weight of the distillation of who is near whom in a batch, from the "
        "peers, next to 1 for the identities. 0 leaves it out.",
    ),
)
