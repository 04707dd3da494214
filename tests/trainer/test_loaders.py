"""Every kind of data: a trainer of one network is plain `fit`, to the bit."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import compiled
from builders import one_dense
from comparisons import assert_same
from comparisons import weights_of

import keras_graft

BATCH = 4

pytestmark = [
    # Keras' words about every loader, and one whose length it does not know.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed"),
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]


def examples(count=16, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 4)).astype("float32")
    return x, np.arange(count) % 3


def endless(x, y):
    for start in itertools.cycle(range(0, len(x), BATCH)):
        yield x[start : start + BATCH], y[start : start + BATCH]


class Noisy(keras.utils.PyDataset):
    """Draws random numbers of its own for each batch, and counts epochs."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.rng = np.random.default_rng(1)
        self.ended = 0

    def __len__(self):
        return 4

    def __getitem__(self, index):
        x, y = examples()
        rows = slice(index * BATCH, (index + 1) * BATCH)
        noise = self.rng.normal(size=(BATCH, 4)) if self.workers < 2 else 0
        return x[rows] + noise + self.ended, y[rows]

    def on_epoch_end(self):
        self.ended += 1


def torch_loader(shuffle=True):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(*map(torch.as_tensor, examples()))
    return torch.utils.data.DataLoader(data, BATCH, shuffle=shuffle)


def torch_stream():
    torch = pytest.importorskip("torch")

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return zip(*examples(18), strict=True)

    return torch.utils.data.DataLoader(Stream(), BATCH)


def grain_dataset():
    grain = pytest.importorskip("grain")
    pairs = list(zip(*examples(18), strict=True))
    return grain.MapDataset.source(pairs).shuffle(seed=3).batch(BATCH)


def grain_loader():
    grain = pytest.importorskip("grain")
    pairs = list(zip(*examples(), strict=True))
    return grain.DataLoader(
        data_source=pairs,
        sampler=grain.samplers.IndexSampler(
            len(pairs), shuffle=True, seed=0, num_epochs=1
        ),
        operations=[grain.transforms.Batch(BATCH)],
        worker_count=0,
    )


def dataset(shuffle=True):
    data = tf.data.Dataset.from_tensor_slices(examples())
    return (data.shuffle(16, seed=2) if shuffle else data).batch(BATCH)


def of_one_device():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    return strategy.experimental_distribute_dataset(dataset())


# What `fit` is given, made anew for each of the two.
KINDS = {
    "torch, shuffled": lambda: {"x": torch_loader()},
    "torch, steps": lambda: {"x": torch_loader(), "steps_per_epoch": 3},
    "torch, stream": lambda: {"x": torch_stream()},
    "torch, validation": lambda: {
        "x": examples()[0],
        "y": examples()[1],
        "shuffle": False,
        "validation_data": torch_loader(shuffle=False),
    },
    "grain dataset": lambda: {"x": grain_dataset()},
    "grain loader": lambda: {"x": grain_loader()},
    "generator": lambda: {"x": endless(*examples()), "steps_per_epoch": 3},
    "PyDataset": lambda: {"x": Noisy(), "shuffle": False},
    "PyDataset, validation": lambda: {
        "x": Noisy(),
        "shuffle": False,
        "validation_data": Noisy(),
    },
    "torch, both": lambda: {
        "x": torch_loader(),
        "validation_data": torch_loader(),
    },
    "PyDataset, workers": lambda: {
        "x": Noisy(workers=2, max_queue_size=3),
        "shuffle": False,
    },
    "distributed": lambda: {"x": of_one_device()},
    "endless validation dataset": lambda: {
        "x": dataset(),
        # Shuffled anew by each pass, plain Keras is not always itself: one
        # fit of 300 saw another second pass.
        "validation_data": dataset(shuffle=False).repeat(),
        "validation_steps": 3,
    },
    "endless validation generator": lambda: {
        "x": dataset(),
        "validation_data": endless(*examples(16, seed=5)),
        "validation_steps": 3,
        # What was drawn ahead is lost between epochs, in plain Keras too.
        "epochs": 1,
    },
}


def fit(model, given):
    return model.fit(**{"epochs": 2, "verbose": 0} | given).history


@pytest.mark.parametrize("kind", KINDS)
def test_a_trainer_of_one_is_plain_fit(kind):
    plain, network = compiled(one_dense()), one_dense()
    trainer = keras_graft.GraftTrainer([network], None, accelerate=False)
    compiled(trainer)
    expected = fit(plain, KINDS[kind]())
    found = fit(trainer, KINDS[kind]())
    assert_same(weights_of(network), weights_of(plain))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_monitor_is_refused_before_the_first_step(kind):
    networks = [one_dense(0), one_dense(1)]
    before = weights_of(networks[0])
    trainer = keras_graft.GraftTrainer(networks, None, monitor="val_nothing")
    compiled(trainer)
    with pytest.raises(ValueError, match="val_nothing.*val_accuracy"):
        fit(trainer, KINDS[kind]())
    assert_same(weights_of(networks[0]), before)


@pytest.mark.parametrize(
    "make",
    [torch_loader, torch_stream, grain_dataset, grain_loader, Noisy, dataset],
)
def test_networks_are_built_by_what_is_drawn(make):
    networks = [keras.Sequential([keras.layers.Dense(3)]) for _ in range(2)]
    trainer = compiled(keras_graft.GraftTrainer(networks, None))
    loss, accuracy = trainer.evaluate(make(), verbose=0)
    assert np.isfinite(loss)
    assert networks[0].built
    assert 0 <= accuracy <= 1
    assert len(trainer.predict(examples()[0], verbose=0)) == 16


def test_a_distributed_dataset_trains_like_what_it_was_made_of(two_replicas):
    def train(distributed):
        with two_replicas.scope():
            network = one_dense()
            trainer = compiled(keras_graft.GraftTrainer([network], None))
        data = dataset()
        if distributed:
            data = two_replicas.experimental_distribute_dataset(data)
        return fit(trainer, {"x": data}), weights_of(network)

    expected, of_dataset = train(distributed=False)
    found, of_distributed = train(distributed=True)
    assert_same(of_distributed, of_dataset)
    assert found == expected


def test_labels_beside_a_loader_are_refused_in_the_words_of_keras():
    trainer = compiled(keras_graft.GraftTrainer([one_dense()], None))
    with pytest.raises(ValueError, match="torch DataLoader, `y`"):
        trainer.fit(torch_loader(), examples()[1], verbose=0)
