"""What every public class and function of the package promises."""

import copy
import dataclasses
import inspect
import re
import types

import keras
import pytest
from builders import compiled
from builders import small_network
from builders import small_networks

import keras_graft
from keras_graft import distillation
from keras_graft import grafting
from keras_graft import recognition

RAMP = keras.optimizers.schedules.PolynomialDecay(
    0.0, decay_steps=10, end_learning_rate=1.0
)


# Of each class what is made of it, every argument away from its default
# somewhere.
EXAMPLES = {
    "GraftTrainer": [
        lambda: keras_graft.GraftTrainer(small_networks(2)),
        lambda: keras_graft.GraftTrainer(
            small_networks(2), distillation=None, monitor="val_loss"
        ),
        lambda: keras_graft.GraftTrainer(
            [small_network(0)],
            distillation=[keras_graft.TeacherDistillation(small_network(5))],
        ),
    ],
    "GraftCallback": [
        lambda: keras_graft.GraftCallback(),
        lambda: keras_graft.GraftCallback(
            amplitude=0.2, slope=1.0, num_bins=20, blend="kernels"
        ),
        lambda: keras_graft.GraftCallback(criterion="gamma", every=2),
        lambda: keras_graft.GraftCallback("internal", threshold=1.0, stop=9),
        lambda: keras_graft.GraftCallback("noise", decay=0.5, start=3),
    ],
    "InvalidFilterMonitor": [
        lambda: keras_graft.InvalidFilterMonitor(),
        lambda: keras_graft.InvalidFilterMonitor(threshold=0.01),
    ],
    "MutualDistillation": [
        lambda: keras_graft.MutualDistillation(),
        lambda: keras_graft.MutualDistillation(temperature=4, weight=RAMP),
    ],
    "TeacherDistillation": [
        lambda: keras_graft.TeacherDistillation(small_network()),
        lambda: keras_graft.TeacherDistillation(
            small_networks(2), temperature=1.0, weight=0.5
        ),
    ],
}
BUILT = [
    pytest.param(make, id=f"{name}{i}")
    for name, makers in EXAMPLES.items()
    for i, make in enumerate(makers)
]

CALLABLES = {
    **{name: getattr(keras_graft, name) for name in keras_graft.__all__},
    **{f"grafting.{n}": getattr(grafting, n) for n in grafting.__all__},
    **{
        f"distillation.{n}": getattr(distillation, n)
        for n in distillation.__all__
    },
    **{
        f"recognition.{n}": getattr(recognition, n) for n in recognition.__all__
    },
}
CALLABLES = {
    name: thing
    for name, thing in CALLABLES.items()
    if not isinstance(thing, types.ModuleType)
}


def parameters(thing):
    """The parameters that a user can give, `self` and `**kwargs` left out."""
    called = thing.__init__ if inspect.isclass(thing) else thing
    return [
        parameter.name
        for parameter in inspect.signature(called).parameters.values()
        if parameter.name != "self"
        and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]


@pytest.mark.parametrize("name", CALLABLES)
def test_docstring_explains_every_argument_in_order(name):
    thing = CALLABLES[name]
    text = inspect.getdoc(thing)
    assert text, "no docstring"
    assert text.splitlines()[0].endswith("."), "the first line is no sentence"
    expected = parameters(thing)
    if expected:
        title = "Attributes" if dataclasses.is_dataclass(thing) else "Args"
        _, _, after = text.partition(f"\n{title}:\n")
        section = re.split(r"\n(?=\S)", after)[0]
        explained = re.findall(r"^    (\w+): ", section, flags=re.MULTILINE)
        # An argument may be explained with another one: "like `dtype`".
        assert explained == [
            name
            for name in expected
            if name in explained or f"`{name}`" not in section
        ]
    if not inspect.isclass(thing):
        returns = inspect.signature(thing).return_annotation is not None
        assert ("\nReturns:\n" in text) == returns


@pytest.mark.parametrize("make", BUILT)
def test_config_round_trip(make):
    thing = make()
    config = thing.get_config()
    # Keras' own models take what they need out of their config.
    again = type(thing).from_config(copy.deepcopy(config))
    assert again.get_config() == config


@pytest.mark.parametrize("make", BUILT)
def test_serialisation_by_keras(make):
    thing = make()
    loaded = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(thing)
    )
    assert type(loaded) is type(thing)
    assert loaded.get_config() == thing.get_config()


@pytest.mark.parametrize("name", EXAMPLES)
def test_config_holds_every_argument(name):
    config = EXAMPLES[name][0]().get_config()
    missing = set(parameters(getattr(keras_graft, name))) - set(config)
    # Teachers are not saved, their names are; `accelerate` says what two
    # arguments mean that it has replaced.
    assert missing <= {"teachers", "fused_batch_norm", "recompute"}


@pytest.mark.parametrize(
    "callback, terms",
    [
        pytest.param(None, None, marks=pytest.mark.slow),
        (lambda: keras_graft.GraftCallback(), "mutual"),
        pytest.param(
            lambda: keras_graft.GraftCallback(criterion="gamma"),
            "mutual",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda: keras_graft.GraftCallback("noise"),
            None,
            marks=pytest.mark.slow,
        ),
        (
            lambda: keras_graft.InvalidFilterMonitor(),
            lambda: [keras_graft.TeacherDistillation(small_network(7))],
        ),
    ],
)
def test_a_second_fit_traces_nothing_anew(callback, terms, images):
    traces = []

    class Counting(keras_graft.GraftTrainer):
        def train_step(self, data):
            traces.append("train")
            return super().train_step(data)

        def test_step(self, data):
            traces.append("test")
            return super().test_step(data)

    trainer = Counting(
        small_networks(2),
        distillation=terms() if callable(terms) else terms,
    )
    compiled(trainer)

    def fit():
        callbacks = [callback()] if callback else []
        trainer.fit(
            *images,
            batch_size=32,
            epochs=2,
            validation_data=images,
            callbacks=callbacks,
            verbose=0,
        )

    fit()
    first = list(traces)
    assert {"train", "test"} == set(first)
    fit()
    assert traces == first
