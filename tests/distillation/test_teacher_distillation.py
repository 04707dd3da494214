import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import make_trainer
from builders import small_network
from builders import small_networks
from keras import layers

import keras_graft
from keras_graft.distillation import DistillationInputs
from keras_graft.distillation import TeacherDistillation
from keras_graft.structure.heads import Head

BATCH, CLASSES = 6, 4


CLASSES_HEAD = Head("output", "class_logits")


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def dropping_out(seed, activation=None, name=None, classes=CLASSES):
    """A network that computes another thing when it trains."""
    return keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(
                8,
                activation="tanh",
                kernel_initializer=keras.initializers.RandomNormal(
                    stddev=2.0, seed=seed
                ),
            ),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(
                classes,
                activation=activation,
                kernel_initializer=keras.initializers.RandomNormal(
                    stddev=2.0, seed=seed + 100
                ),
            ),
        ],
        name=name,
    )


class Subclassed(keras.Model):
    """Does not show how it ends."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x):
        return self.inner(x)


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=(BATCH, 3)), "float32")


def some_logits(n, seed=1):
    rng = np.random.default_rng(seed)
    return [
        tf.constant(rng.normal(0, 2, (BATCH, CLASSES)), "float32")
        for _ in range(n)
    ]


def all_targets(term, *views):
    """What a term wants networks to predict that are shown these views."""
    n = len(views)
    given = DistillationInputs(views, some_logits(n), tf.ones([n]), [None] * n)
    return term.targets(term.prepared(given), 0, given.heads[0])


def targets_of(term, x, n=1):
    targets, present = all_targets(term, *[x] * n)
    assert list(present) == [1.0] * n
    return [t.numpy() for t in targets]


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("ends_in", ["logits", "softmax", "both"])
def test_targets_are_the_mean_of_softened_teachers(temperature, ends_in):
    activations = {
        "logits": (None, None),
        "softmax": ("softmax", "softmax"),
        "both": (None, "softmax"),
    }[ends_in]
    teachers = [dropping_out(seed, a) for seed, a in enumerate(activations)]
    term = TeacherDistillation(teachers, temperature=temperature)
    x = inputs()
    soft = []
    for teacher, activation in zip(teachers, activations, strict=True):
        outputs = teacher(x, training=False).numpy().astype("float64")
        logits = np.log(outputs) if activation == "softmax" else outputs
        soft.append(softmax(logits / temperature))
    (target,) = targets_of(term, x)
    np.testing.assert_allclose(target, np.mean(soft, axis=0), rtol=1e-3)
    np.testing.assert_allclose(target.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "activation, heads",
    [(None, "class_logits"), ("softmax", "class_probabilities")],
)
def test_a_subclassed_teacher_is_asked_for(activation, heads):
    inner = dropping_out(0, activation)
    (expected,) = targets_of(TeacherDistillation(inner), inputs())
    hidden = Subclassed(inner)
    with pytest.raises(ValueError, match="does not show how it ends.*heads="):
        TeacherDistillation(hidden).check_heads([CLASSES_HEAD])
    term = TeacherDistillation(hidden, heads=heads)
    term.check_heads([CLASSES_HEAD])
    np.testing.assert_array_equal(targets_of(term, inputs())[0], expected)


def test_a_sigmoid_gives_no_logits_of_classes():
    teacher = dropping_out(0, "sigmoid")
    with pytest.raises(ValueError, match="ends in a sigmoid"):
        TeacherDistillation(teacher).check_heads([CLASSES_HEAD])
    labels = Head("output", "label_logits")
    term = TeacherDistillation(teacher, 1.0)
    term.check_heads([labels])
    given = DistillationInputs(
        [inputs()], some_logits(1), tf.ones([1]), [None], heads=[labels]
    )
    (target,), _ = term.targets(term.prepared(given), 0, labels)
    np.testing.assert_allclose(target, teacher(inputs()), rtol=1e-4)


def test_a_trainer_can_teach_with_its_ensemble():
    teachers = [dropping_out(seed) for seed in range(2)]
    trainer = make_trainer(teachers)
    (target,) = targets_of(TeacherDistillation(trainer, 1.0), inputs())
    outputs = [softmax(teacher(inputs()).numpy()) for teacher in teachers]
    np.testing.assert_allclose(target, np.mean(outputs, axis=0), rtol=1e-4)


def test_value_and_gradient_equal_numpy():
    teacher, x, temperature, weight = dropping_out(0), inputs(), 2.0, 0.7
    term = TeacherDistillation(teacher, temperature, weight)
    variables = [tf.Variable(z) for z in some_logits(2)]
    with tf.GradientTape() as tape:
        losses = term.losses(
            DistillationInputs(
                [x, x], list(variables), tf.ones([2]), [None] * 2
            )
        )
        total = tf.add_n(losses)
    gradients = tape.gradient(total, variables)
    target = softmax(teacher(x).numpy() / temperature)
    for k, z in enumerate(variables):
        own = softmax(z.numpy() / temperature)
        kl = (target * np.log(target / own)).sum(axis=1).mean()
        value = weight * temperature**2 * kl
        assert float(losses[k]) == pytest.approx(value, rel=1e-4)
        np.testing.assert_allclose(
            gradients[k],
            weight * temperature * (own - target) / BATCH,
            rtol=1e-4,
            atol=1e-6,
        )


def test_each_view_of_a_batch_is_shown_to_the_teacher():
    term = TeacherDistillation(dropping_out(0))
    x, y = inputs(0), inputs(1)
    targets, _ = all_targets(term, x, y, x)
    of_x, of_y = targets_of(term, x)[0], targets_of(term, y)[0]
    for found, expected in zip(targets, [of_x, of_y, of_x], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert np.abs(of_x - of_y).max() > 0.01


def test_teachers_run_once_for_a_shared_batch():
    class Counting(keras.Model):
        calls = 0

        def call(self, x):
            Counting.calls += 1
            return tf.zeros([BATCH, CLASSES]) + tf.reduce_sum(x)

    term = TeacherDistillation(Counting(), heads="class_logits")
    targets_of(term, inputs(), n=3)
    assert Counting.calls == 1


def test_a_live_teacher_needs_no_live_network():
    term = TeacherDistillation(dropping_out(0))
    logits = some_logits(2)
    losses = [
        [
            float(v)
            for v in term.losses(
                DistillationInputs([inputs()] * 2, logits, live, [None] * 2)
            )
        ]
        for live in (tf.ones([2]), tf.zeros([2]))
    ]
    assert losses[0] == losses[1]
    assert min(losses[0]) > 0


def test_training_with_teachers_leaves_them_as_they_are(images):
    teacher = small_network(seed=9, dropout=0.5)
    before = [v.numpy() for v in teacher.variables]
    student = small_network(seed=1)
    trainer = make_trainer(
        [student],
        TeacherDistillation(teacher),
        optimizer=keras.optimizers.SGD(0.1),
        metrics=None,
    )
    start = student.get_layer("conv").kernel.numpy()
    logs = trainer.fit(*images, epochs=1, verbose=0).history
    assert logs["distillation_loss"][0] > 0
    assert np.any(student.get_layer("conv").kernel.numpy() != start)
    for old, variable in zip(before, teacher.variables, strict=True):
        np.testing.assert_array_equal(old, variable)
    held = {id(v) for v in trainer.variables}
    assert not held & {id(v) for v in teacher.variables}


def test_no_gradient_reaches_a_teacher():
    teacher = dropping_out(0)
    term = TeacherDistillation(teacher)
    with tf.GradientTape() as tape:
        loss = term.losses(
            DistillationInputs([inputs()], some_logits(1), tf.ones([1]), [None])
        )[0]
    assert tape.gradient(loss, teacher.trainable_variables) == [None] * len(
        teacher.trainable_variables
    )


def test_a_teacher_of_other_classes_is_refused():
    term = TeacherDistillation(dropping_out(0, name="wide", classes=5))
    with pytest.raises(
        ValueError, match="the teacher 'wide' of 5 classes for networks of 4"
    ):
        all_targets(term, inputs())


def test_a_loaded_term_names_the_teachers_it_needs():
    term = TeacherDistillation(
        [dropping_out(0, name="big"), dropping_out(1, name="bigger")], 3.0, 0.5
    )
    assert term.ready and term.missing_teachers == []
    serialised = keras.saving.serialize_keras_object(term)
    loaded = keras.saving.deserialize_keras_object(serialised)
    assert type(loaded) is TeacherDistillation
    assert (loaded.temperature, loaded.weight) == (3.0, 0.5)
    assert not loaded.ready
    assert loaded.missing_teachers == ["big", "bigger"]
    assert loaded.get_config() == term.get_config()

    loaded.teachers = term.teachers
    assert loaded.ready
    np.testing.assert_array_equal(
        targets_of(loaded, inputs())[0],
        targets_of(TeacherDistillation(term.teachers, 3.0), inputs())[0],
    )


def test_a_loaded_trainer_predicts_and_names_the_teachers_that_fit_needs(
    images, tmp_path
):
    teacher = small_network(seed=9)
    terms = [keras_graft.MutualDistillation(), TeacherDistillation(teacher)]
    trainer = make_trainer(
        small_networks(2), terms, optimizer="sgd", metrics=None
    )
    trainer.fit(*images, epochs=1, verbose=0)
    path = tmp_path / "trainer.keras"
    trainer.save(path)
    loaded = keras.saving.load_model(path)
    x, labels = images
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), trainer.predict(x, verbose=0), rtol=1e-5
    )
    with pytest.raises(
        ValueError, match=r"trainer.distillation\[1\].teachers.*'net9'"
    ):
        loaded.fit(x, labels, verbose=0)
    loaded.distillation[1].teachers = [teacher]
    assert loaded.fit(x, labels, verbose=0).history["distillation_loss"][0] > 0


@pytest.mark.parametrize(
    "teachers, message",
    [
        ([], "`teachers` is empty: give at least one Keras model"),
        (["big.keras"], "must be Keras models; load them.*big.keras"),
        ([layers.Dense(4)], "must be Keras models"),
    ],
)
def test_what_cannot_teach_is_refused(teachers, message):
    with pytest.raises(ValueError, match=message):
        TeacherDistillation(teachers)
    with pytest.raises(ValueError, match=message):
        TeacherDistillation(dropping_out(0)).teachers = teachers


@pytest.mark.parametrize("arguments", [{"temperature": 0}, {"weight": -1}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be"):
        TeacherDistillation(dropping_out(0), **arguments)
