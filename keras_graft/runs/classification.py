"""Classification as the task of a run."""

import dataclasses
import functools

from keras_graft import data
from keras_graft.data.names import SCORES
from keras_graft.runs import model_card
from keras_graft.runs import recipe
from keras_graft.runs import results
from keras_graft.runs import run_report
from keras_graft.runs.answers import ask
from keras_graft.runs.batches import TrainingData
from keras_graft.runs.batches import evaluation_data
from keras_graft.runs.batches import load_splits
from keras_graft.runs.batches import monitored_split
from keras_graft.runs.batches import resizing
from keras_graft.runs.exports import write_exports
from keras_graft.runs.task import Task


class Classification(Task):
    """Networks that tell classes apart, judged by their accuracy.

    Args:
        settings: The run's flags.
    """

    score = SCORES["classification"]

    def __init__(self, settings):
        super().__init__(settings)
        self.splits = load_splits(settings)
        self.files = self.splits.files

    @functools.cached_property
    def training_data(self):
        return TrainingData(self.settings, self.splits)

    @property
    def num_evaluated(self):
        return len(monitored_split(self.splits))

    def checksum(self):
        return self.splits.train.checksum()

    def described(self):
        splits, settings = self.splits, self.settings
        validation = 0 if splits.validation is None else len(splits.validation)
        lines = [
            f"{len(splits.train)} training, {validation} validation, "
            f"{len(splits.test)} test images"
        ]
        dropped = len(splits.train) - self.steps_per_epoch * settings.batch_size
        if settings.steps_per_epoch is None and dropped:
            lines.append(
                f"The last {dropped} images of each epoch's order make no "
                "whole batch and are left out; they differ from epoch to "
                "epoch."
            )
        return [*lines, *splits.notes]

    def make_trainer(self):
        return recipe.make_trainer(self.settings, self.splits)

    def unfreeze(self, trainer):
        recipe.unfreeze(trainer, self.settings, self.splits)

    def validation_data(self):
        return evaluation_data(
            self.settings, self.splits, monitored_split(self.splits)
        )

    def judges(self):
        return []

    def compared_on(self, count):
        return monitored_split(self.splits).images[:count], None

    def tested(self, trainer):
        return trainer.evaluate(
            evaluation_data(self.settings, self.splits, self.splits.test),
            verbose=0,
            return_dict=True,
        )

    def mean_tested(self, network):
        self.prepare_file(network)
        test = data.evaluation_batches(
            self.splits.test, max(self.settings.batch_size, 256)
        )
        logs = network.evaluate(test, verbose=0, return_dict=True)
        return {"accuracy": float(logs["accuracy"])}

    def prepare_file(self, network):
        network.compile(
            optimizer="sgd", loss=recipe.loss(), metrics=["accuracy"]
        )

    def shipped(self, network):
        return network

    def results(self, measured, shipped):
        del shipped
        return results.run_results(self.settings, self.splits, measured)

    def summary(self, found, measured, before, path):
        return results.summary(found, before, path, measured.averaged)

    def report(self, found, measured, coefficients, flags_text, shipped):
        answers = ask(shipped, self.splits.test, self.splits.num_classes)
        return run_report.report_html(
            found, measured.history, coefficients, flags_text, answers
        )

    def card(self, found):
        return model_card.card(found, self.settings)

    def exported(self, found, directory):
        written = write_exports(self.settings.export, directory, self.splits)
        return dataclasses.replace(found, exports=written)

    def beside_shipped(self, found):
        if found.class_names is None:
            return None
        return {
            "class_names": found.class_names,
            **resizing(self.settings),
        }
