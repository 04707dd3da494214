"""A file that holds classes of this package loads in a fresh process."""

import ast
import json
import pathlib
import subprocess
import sys

import keras
import pytest
from builders import slow_but

import keras_graft
from keras_graft.distillation import PeerFeatureDistillation
from keras_graft.optimizers import CoupledSGD
from keras_graft.optimizers import HeldSchedule

PACKAGE = pathlib.Path(keras_graft.__file__).parent


def registered():
    """The classes that the package registers with Keras, by its source."""
    return {
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any("register_keras" in ast.dump(d) for d in node.decorator_list)
    }


def fresh(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split("\n")[-2]


def test_keras_knows_every_registered_class_without_its_module():
    code = (
        "import keras, keras_graft; known = keras.saving.get_custom_objects();"
        "print(*sorted(n.split('>')[1] for n in known if 'keras_graft>' in n))"
    )
    assert set(fresh(code).split()) == registered()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A trainer that holds one of nearly everything."""

    def network(seed):
        start = keras.initializers.GlorotUniform(seed)
        inputs = keras.Input((4,))
        x = keras.layers.Dense(3, kernel_initializer=start, name="hidden")(
            inputs
        )
        return keras.Model(inputs, keras.layers.Dense(2)(x))

    feature_loss = keras.distillation.FeatureDistillation(
        loss="mse", teacher_layer_name="hidden", student_layer_name="hidden"
    )
    trainer = keras_graft.GraftTrainer(
        [network(0), network(1)],
        distillation=[
            keras_graft.MutualDistillation(),
            PeerFeatureDistillation(feature_loss),
        ],
    )
    trainer.compile(
        CoupledSGD(HeldSchedule(0.1, 3)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    path = tmp_path_factory.mktemp("saved") / "trainer.keras"
    trainer.build((None, 4))
    trainer.save(path)
    return path


@pytest.mark.parametrize(
    "imports",
    slow_but(
        ["keras, keras_graft"], ["keras, keras_graft", "keras_graft, keras"]
    ),
)
def test_a_trainer_loads_in_either_order_of_imports(saved, imports):
    code = (
        f"import sys, {imports}; t = keras.models.load_model(sys.argv[1]);"
        "o = t.optimizer.optimizers[0];"
        "print(*(type(x).__name__ for x in [t, o, *t.distillation]))"
    )
    assert fresh(code, saved).split() == [
        "GraftTrainer",
        "CoupledSGD",
        "MutualDistillation",
        "PeerFeatureDistillation",
    ]


@pytest.mark.parametrize(
    "made",
    [
        keras_graft.GraftCallback(every=2),
        pytest.param(
            keras_graft.InvalidFilterMonitor(0.2), marks=pytest.mark.slow
        ),
    ],
    ids=lambda made: type(made).__name__,
)
def test_a_callback_is_read_from_its_config(made):
    code = (
        "import sys, json, keras, keras_graft;"
        "c = keras.saving.deserialize_keras_object(json.loads(sys.argv[1]));"
        "print(json.dumps(c.get_config()))"
    )
    config = keras.saving.serialize_keras_object(made)
    assert json.loads(fresh(code, json.dumps(config))) == made.get_config()


def test_the_package_alone_imports_no_keras():
    code = (
        "import sys, keras_graft, keras_graft.flags;"
        "import keras_graft.checkpoint.files;"
        "print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    )
    assert fresh(code) == "[]"


def test_the_old_home_of_coupled_sgd_is_deprecated():
    import keras_graft.coupled_sgd as old

    with pytest.warns(DeprecationWarning, match="keras_graft.optimizers"):
        assert old.CoupledSGD is CoupledSGD
