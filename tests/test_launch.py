"""The command, as a user types it."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from launching import launch
from launching import launch_here

sys.path.append(str(pathlib.Path(__file__).parent / "data"))

from tfds_fixture import write_cifar100  # noqa: E402

# Plain Keras, in a process that never imports keras_graft.
PLAIN_KERAS = """
import sys
import numpy as np
import keras
network = keras.models.load_model(sys.argv[1])
data = np.load(sys.argv[2])
logits = network.predict(data["x"], verbose=0)
assert "keras_graft" not in sys.modules
print(np.mean(logits.argmax(-1) == data["y"]))
print(network.evaluate(data["x"], data["y"], verbose=0)[1])
"""

SMALL = (
    "--train_examples=300",
    "--epochs=3",
    "--num_networks=2",
    "--batch_size=32",
)


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    done = launch(*SMALL, "--workdir=run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run", done


def test_run_directory_holds_what_is_promised(digits_run):
    folder, done = digits_run
    expected = {
        "flags.txt",
        "history.csv",
        "results.json",
        "network_0.keras",
        "network_1.keras",
        "shipped.keras",
        "report.html",
        "card.md",
    }
    assert expected <= {path.name for path in folder.iterdir()}
    assert not list(folder.glob("*.tmp")) + list(folder.glob(".*"))
    results = results_of(folder)
    assert set(results) == {
        "dataset",
        "model",
        "num_networks",
        "epochs",
        "trained_epochs",
        "seed",
        "seconds",
        "selected",
        "selected_by",
        "test_accuracy",
        "best_epoch",
        "best_epoch_test_accuracy",
        "networks",
        "ensemble_test_accuracy",
        "input",
        "output",
        "class_names",
        "weights",
        "exports",
        "protocol",
    }
    assert results["selected_by"] == "val_accuracy"
    assert results["best_epoch_test_accuracy"] is None
    assert [n["name"] for n in results["networks"]] == [
        "network_0",
        "network_1",
    ]
    assert {n["total_filters"] for n in results["networks"]} == {240}
    page = (folder / "report.html").read_text()
    assert page.count("<img alt=") == 4
    assert "<h2>The worst mistakes</h2>" in page
    assert "Shipped: " + results["selected"] in done.stdout
    assert f"{results['test_accuracy']:.4f}" in done.stdout


def test_shipped_network_is_plain_keras_and_keeps_its_accuracy(
    digits_run, tmp_path
):
    from keras_graft import data

    folder, _ = digits_run
    test = data.load("digits").test
    file = tmp_path / "test.npz"
    np.savez(file, x=test.images, y=test.labels)
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_KERAS, folder / "shipped.keras", file],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr
    expected = results_of(folder)["test_accuracy"]
    np.testing.assert_allclose(
        [float(line) for line in done.stdout.split()], expected, atol=1e-6
    )


@pytest.mark.slow
def test_averaged_run_ships_the_average(tmp_path, capsys):
    import keras

    from keras_graft import data
    from keras_graft import diagnose
    from keras_graft.runs.results import read_history

    more = ("--epochs=4", "--swa_start=0.5", "--nograft")
    ended = launch_here(*SMALL, *more, f"--workdir={tmp_path / 'run'}")
    assert ended == (0, "")
    assert "(averaged over 2 epochs)" in capsys.readouterr().out
    results = results_of(tmp_path / "run")
    assert "averages of their weights over the last 2" in results["protocol"]
    history = read_history(tmp_path / "run" / "history.csv")
    rates = history["learning_rate_network_1"]
    assert rates[0] > rates[1] == pytest.approx(rates[3])
    test = data.load("digits").test
    found = []
    for k, network in enumerate(results["networks"]):
        saved = keras.models.load_model(tmp_path / f"run/network_{k}.keras")
        logits = saved.predict(test.images, verbose=0)
        accuracy = np.mean(logits.argmax(-1) == test.labels)
        assert network["test_accuracy"] == pytest.approx(accuracy, abs=1e-6)
        invalid = diagnose(saved, thresholds=(0.1,)).totals.invalid[0.1]
        assert network["invalid_filters"] == invalid
        found.append(saved.get_weights())
    # Not grafted, so an average each.
    assert not np.allclose(found[0][-2], found[1][-2])


def test_history_has_every_epoch_and_a_graft_in_all_but_the_first(digits_run):
    from keras_graft.runs.results import read_history

    history = read_history(digits_run[0] / "history.csv")
    assert history["epoch"] == [0, 1, 2]
    assert history["graft_coefficient"][0] == 1.0
    assert all(0.3 <= c <= 0.7 for c in history["graft_coefficient"][1:])
    for name in (
        "network_0_invalid_filters",
        "divergence",
        "val_network_1_accuracy",
        "learning_rate_network_0",
    ):
        assert len(history[name]) == 3


def test_finished_run_says_so_and_another_one_is_refused(digits_run):
    folder, _ = digits_run
    before = (folder / "results.json").read_bytes()
    again = launch(*SMALL, "--workdir=run", cwd=folder.parent)
    assert again.returncode == 0
    assert "finished" in again.stdout
    other = launch(*SMALL, "--workdir=run", "--seed=1", cwd=folder.parent)
    assert other.returncode == 1
    assert "--seed: 0 -> 1" in other.stderr
    never = launch(*SMALL, "--workdir=run", "--resume=never", cwd=folder.parent)
    assert never.returncode == 1
    assert (folder / "results.json").read_bytes() == before


def test_flags_txt_repeats_the_run(digits_run, tmp_path):
    folder, _ = digits_run
    done = launch(
        f"--flagfile={folder / 'flags.txt'}", "--workdir=again", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    first, second = results_of(folder), results_of(tmp_path / "again")
    del first["seconds"], second["seconds"]
    assert first == second


@pytest.mark.slow
def test_cifar100_recipe_end_to_end(tmp_path):
    write_cifar100(tmp_path / "tfds", train=300, test=100)
    done = launch(
        "--flagfile=cifar100.flags",
        f"--data_dir={tmp_path / 'tfds'}",
        "--model=resnet8",
        "--num_networks=2",
        "--epochs=2",
        "--batch_size=64",
        "--validation_fraction=0",
        "--strategy=mirrored",
        "--replicas=2",
        "--workdir=run",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    results = results_of(tmp_path / "run")
    assert results["dataset"] == "cifar100"
    assert results["output"] == {"kind": "logits", "classes": 100}
    assert results["selected_by"] == "test_accuracy"
    assert "chosen on the test set" in results["protocol"]
    assert results["best_epoch_test_accuracy"] >= results["test_accuracy"]


def test_plan_tells_the_cost_and_makes_nothing(tmp_path):
    done = launch("--plan", "--epochs=3", "--workdir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = dict(
        re.split(r"\s{2,}", line.strip(), maxsplit=1)
        for line in done.stdout.splitlines()
        if re.match(r"  \S.*\s{2,}\S", line)
    )
    # 3 epochs of 20 batches of 64 images, 3 networks, 3 passes each.
    forward = float(rows["inference, one image"].split()[0])
    training = float(rows["training"].split()[0])
    expected = forward * 1e6 * 3 * 20 * 64 * 3 * 3 / 1e12
    np.testing.assert_allclose(training, expected, atol=0.006)
    assert rows["filters of a network"] == "240"
    assert list(tmp_path.iterdir()) == []


def test_absent_data_ends_at_once_with_the_remedies(tmp_path):
    done = launch(
        "--flagfile=cifar100.flags",
        f"--data_dir={tmp_path / 'nothing'}",
        "--workdir=run",
        cwd=tmp_path,
    )
    assert done.returncode == 3
    assert str(tmp_path / "nothing") in done.stderr
    assert "cifar-100-binary.tar.gz" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--batch_size=2000"], "batch larger than the data"),
        (["--train_examples=100000"], "train_examples"),
        (
            ["--batch_size=63", "--replicas=2"],
            "does not split evenly over 2 devices",
        ),
        (["--steps_per_execution=2", "--replicas=2"], "works on one device"),
        (["--steps_per_execution=3"], "Give one of 1, 2, 4, 5, 10, 20, or"),
    ],
)
def test_what_only_the_data_shows_is_refused_before_the_first_step(
    tmp_path, arguments, message
):
    code, said = launch_here(*arguments, f"--workdir={tmp_path / 'run'}")
    assert code == 1
    assert message in said
    assert list(tmp_path.iterdir()) == []
