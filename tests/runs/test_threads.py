"""Threads: in processes of their own, since they are set once."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.threads import refuse_impossible_counts

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORES = 3
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

SHARE_OUT = """
import json, os, sys
os.sched_getaffinity = lambda process: set(range(int(sys.argv[1])))
import tensorflow as tf
from keras_graft import flags
from keras_graft.runs.threads import share_out_threads
for arguments, environment in json.loads(sys.argv[2]):
    os.environ |= environment
    if "--in-use" in arguments:
        tf.constant(1.0) + 1.0
        arguments.remove("--in-use")
    values = flags.FlagValues()
    flags.define(values)
    settings = flags.parse(["test", "--workdir=none", *arguments], values)
    done = share_out_threads(settings)
    threads = tf.config.threading
    print(
        done,
        threads.get_intra_op_parallelism_threads(),
        threads.get_inter_op_parallelism_threads(),
    )
    for name in environment:
        del os.environ[name]
"""

LEFT_ALONE = {
    "fewer networks than cores": ([f"--num_networks={CORES - 1}"], {}),
    "XLA": (["--num_networks=3", "--jit"], {}),
    "replicas": (["--num_networks=3", "--replicas=2"], {}),
    "threads of an operation": (["--num_networks=3"], {THREADS[0]: "2"}),
    "threads for operations": (["--num_networks=3"], {THREADS[1]: "2"}),
    # The last one, since nothing can be set after it.
    "TensorFlow is in use": (["--num_networks=3", "--in-use"], {}),
}

TRAIN = """
import zlib
import keras, numpy as np
import keras_graft
keras.utils.set_random_seed(0)
networks = [
    keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(8, 3),
        keras.layers.BatchNormalization(),
        keras.layers.Flatten(),
        keras.layers.Dense(4),
    ])
    for _ in range(3)
]
trainer = keras_graft.GraftTrainer(networks)
trainer.compile(
    [keras.optimizers.SGD(0.1, momentum=0.9) for _ in networks],
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
x = np.random.default_rng(0).normal(size=(32, 8, 8, 1)).astype("float32")
trainer.fit(x, np.arange(32) % 4, batch_size=8, shuffle=False, verbose=0)
print([zlib.crc32(w) for n in networks for w in n.get_weights()])
"""


def python(code, *arguments, **environment):
    without = {k: v for k, v in os.environ.items() if k not in THREADS}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**without, "PYTHONPATH": str(ROOT), **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def share_out(*cases):
    """What each case did, and the threads then set, in one process."""
    return python(SHARE_OUT, f"{CORES}", json.dumps(cases)).splitlines()


@pytest.mark.slow
def test_each_core_gets_operations_of_its_own():
    (found,) = share_out(([f"--num_networks={CORES}"], {}))
    assert found == f"True 1 {CORES}"


@pytest.fixture(scope="module")
def left_alone():
    found = share_out(*LEFT_ALONE.values())
    return dict(zip(LEFT_ALONE, found, strict=True))


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_threads_are_left_alone(left_alone, case):
    assert left_alone[case] == "False 0 0"


@pytest.mark.slow
def test_networks_side_by_side_train_as_one_after_the_other():
    one, two = (
        python(TRAIN, **{THREADS[0]: "1", THREADS[1]: f"{at_a_time}"})
        for at_a_time in (1, 2)
    )
    assert one == two


@pytest.mark.parametrize(
    "text", ["many", pytest.param("", marks=pytest.mark.slow)]
)
def test_variables_that_are_no_number_are_none(text):
    assert python(TRAIN, **dict.fromkeys(THREADS, text)).startswith("[")


@pytest.mark.parametrize("text", ["-1", "2147483648", "99999999999999"])
@pytest.mark.parametrize("name", THREADS)
def test_number_that_tensorflow_cannot_take_is_refused(name, text):
    with pytest.raises(RunError, match=f"{name}={text} .* 1 to 2147483647"):
        refuse_impossible_counts({name: text})


@pytest.mark.parametrize("text", ["", "0", "2147483647", "many", "3\x1b[31m"])
def test_what_tensorflow_takes_or_ignores_is_left_to_it(text):
    refuse_impossible_counts(dict.fromkeys(THREADS, text))
