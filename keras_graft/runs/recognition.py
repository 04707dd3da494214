"""Recognition as the task of a run."""

import functools
import zlib

import numpy as np

from keras_graft import recognition
from keras_graft.checks import packages
from keras_graft.data.names import SCORES
from keras_graft.recognition.report import RANKED_STYLE
from keras_graft.recognition.report import retrieval_sections
from keras_graft.runs import embedding_card
from keras_graft.runs import recognition_recipe
from keras_graft.runs import retrieval_results
from keras_graft.runs import run_report
from keras_graft.runs.task import Task

_BATCH = 256


class Recognition(Task):
    """Networks that learn identities, judged by finding images of others.

    Args:
        settings: The run's flags.

    Attributes:
        people: What is trained on, and the query and gallery that test.
        train: Of it what is trained on, without held-out identities.
    """

    score = SCORES["recognition"]

    def __init__(self, settings):
        super().__init__(settings)
        self.people = _load(settings, settings.dataset)
        if settings.judged_on is not None:
            self._judge_on(_load(settings, settings.judged_on))
        self.files = self.people.files
        self.train = self.people.train
        self._choosing = self._testing = self._judge(
            self.people.query, self.people.gallery
        )
        if settings.validation_fraction:
            self.train, *held_out = recognition.hold_out_identities(
                self.train, settings.validation_fraction, settings.seed
            )
            self._choosing = self._judge(*held_out)
        if self.train.num_identities < 2:
            raise ValueError(
                f"--dataset={settings.dataset} has "
                f"{self.train.num_identities} identity to train on, and "
                "there must be two at least to tell apart."
            )

    def _judge_on(self, other):
        self.people = recognition.RetrievalData(
            self.people.train,
            other.query,
            other.gallery,
            notes=(*self.people.notes, *other.notes),
            files=(
                *self.people.files,
                *(
                    file._replace(name=f"judged_on/{file.name}")
                    for file in other.files
                ),
            ),
        )

    def _judge(self, query, gallery):
        return recognition.RetrievalCallback(query, gallery, batch_size=_BATCH)

    @property
    def is_validated(self):
        """Whether the shipped network is chosen on held-out identities."""
        return self._choosing is not self._testing

    @functools.cached_property
    def training_data(self):
        settings = self.settings
        return recognition.IdentityBatches(
            self.train,
            batch_size=settings.batch_size,
            images_per_identity=settings.images_per_identity,
            seed=settings.seed,
            augmentation=recognition.Augmentation(
                settings.pad, settings.flip, settings.erasing
            ),
            num_networks=settings.num_networks,
            outputs=recognition_recipe.outputs_of(settings),
            one_hot=settings.label_smoothing > 0,
        )

    def check_division(self, devices):
        super().check_division(devices)
        settings = self.settings
        per_identity = settings.images_per_identity
        if per_identity and (settings.batch_size // per_identity) % devices:
            raise ValueError(
                f"--batch_size={settings.batch_size} holds "
                f"{settings.batch_size // per_identity} identities, which do "
                f"not come out even on {devices} devices. Let it be a multiple "
                f"of {devices * per_identity}."
            )

    @property
    def num_evaluated(self):
        return len(self._choosing.query) + len(self._choosing.gallery)

    def checksum(self):
        images = zlib.crc32(np.ascontiguousarray(self.train.images))
        return zlib.crc32(np.ascontiguousarray(self.train.ids), images)

    def described(self):
        query, gallery = self.people.query, self.people.gallery
        where = self.settings.judged_on
        lines = [
            f"{len(self.train)} training images of "
            f"{self.train.num_identities} identities, {len(query)} queries in "
            f"{len(gallery)} images" + (f" of {where}" if where else "")
        ]
        if self.is_validated:
            held = self._choosing.gallery
            lines.append(
                f"{held.num_identities} identities are held out to choose by."
            )
        return [*lines, *self.people.notes]

    def make_trainer(self):
        return recognition_recipe.make_trainer(
            self.settings, self.train, self.steps_per_epoch
        )

    def validation_data(self):
        return None

    def judges(self):
        return [self._choosing]

    def compared_on(self, count):
        return self.train.images[:count], "logits"

    def tested(self, trainer):
        return self._judged(trainer)

    def mean_tested(self, network):
        return self._judged(network)

    def _judged(self, model):
        judge = self._judge(self.people.query, self.people.gallery)
        judge.set_model(model)
        judge.on_train_begin()
        return {
            name.removeprefix("val_"): value
            for name, value in judge.judged().items()
        }

    def prepare_file(self, network):
        # Evaluated by retrieval, which Keras does not have.
        del network

    def shipped(self, network):
        return recognition.shipped_model(network)

    def results(self, measured, shipped):
        size = shipped.output_shape[-1]
        return retrieval_results.run_results(self, size, measured)

    def summary(self, found, measured, before, path):
        return retrieval_results.summary(found, before, path, measured.averaged)

    def report(self, found, measured, coefficients, flags_text, shipped):
        return run_report.page(
            retrieval_results.title(found),
            [
                *retrieval_results.introduction(found),
                *self._retrieved(shipped),
                *run_report.training_sections(
                    found, measured.history, coefficients
                ),
                run_report.flags_section(flags_text),
            ],
            RANKED_STYLE,
        )

    def _retrieved(self, shipped):
        if packages.missing(packages.PICTURES):
            return []
        query, gallery = self.people.query, self.people.gallery
        sides = [
            recognition.embeddings_of(shipped, part.images, batch_size=_BATCH)
            for part in (query, gallery)
        ]
        return [
            "<h2>What is shipped</h2>",
            *retrieval_sections(query, gallery, *sides),
        ]

    def card(self, found):
        return embedding_card.card(found, self.settings)


def _load(settings, name):
    """Images of identities by the name that a flag gives them."""
    source, _, folder = name.partition(":")
    shape = settings.image_shape
    return recognition.load(
        source,
        folder or None,
        image_shape=shape and tuple(map(int, shape.split("x"))),
        camera_pattern=settings.camera_pattern if source == "folder" else None,
        seed=settings.seed,
    )
