"""The arithmetic of the benchmarks, and one small run without PyTorch."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import types

import batch_norm_after_graft
import bench
import costs
import growth
import numpy as np
import pytest
from measuring import memory
from measuring import picture
from measuring import summary
from measuring import targets
from measuring.epochs import Epochs
from measuring.epochs import total
from measuring.graft_runs import GraftRuns
from measuring.intervals import estimate
from measuring.intervals import growth_exponent
from measuring.intervals import last_exponent
from measuring.intervals import ratios
from measuring.rival import Mode
from measuring.rival import candidate_modes
from measuring.side import Side
from measuring.side import SideError
from measuring.starts import Starts
from measuring.turns import Deadline
from measuring.turns import IdleWatch
from measuring.turns import interleave
from measuring.workload import Workload
from measuring.workload import synthetic_images

ROOT = pathlib.Path(__file__).resolve().parents[1]

# The keys that the issue and the README promise.
PROMISED = {
    "speedup_over_keras_fits",
    "speedup_over_pytorch_as_shipped",
    "speedup_over_pytorch_tuned",
    "graft_speedup_over_reference",
    "graft_seconds",
    "first_step_seconds",
    "peak_pss_mib",
    "gemm_fraction",
}


def test_interval_of_five_values_is_their_range():
    found = estimate([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (found.median, found.low, found.high) == (3.0, 1.0, 5.0)
    assert found.coverage == 1 - 2 / 2**5
    assert found.count == 5


def test_interval_leaves_out_what_it_can():
    # The tables of the sign test: the 6th to the 15th of 20 values.
    found = estimate(range(1, 21))
    assert (found.low, found.high) == (6, 15)
    assert found.coverage == pytest.approx(0.9586, abs=1e-4)


def test_few_values_say_how_little_they_cover():
    assert estimate([7.0]).coverage == 0
    assert estimate([1.0, 2.0, 3.0]).coverage == 0.75
    with pytest.raises(ValueError, match="one at least"):
        estimate([])


@pytest.mark.parametrize("count", [5, 9, 12])
def test_interval_holds_the_median_as_often_as_it_says(count):
    rng = np.random.default_rng(0)
    drawn = rng.exponential(size=(4000, count))
    found = [estimate(list(values)) for values in drawn]
    held = np.mean([e.low <= np.log(2) <= e.high for e in found])
    assert found[0].coverage >= 0.9
    assert held == pytest.approx(found[0].coverage, abs=0.02)


def test_ratios_pair_what_was_measured_in_one_round():
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_exponent_of_a_power_is_found():
    sizes = [1, 2, 4, 8]
    assert growth_exponent(sizes, [3 * s**1.5 for s in sizes]) == (
        pytest.approx(1.5)
    )
    with pytest.raises(ValueError, match="two different sizes"):
        growth_exponent([2, 2], [1, 1])


def test_quadratic_growth_under_a_fixed_cost_is_named():
    sizes = [1, 2, 4, 8, 16]
    hidden = [50 + s**2 for s in sizes]
    assert growth_exponent(sizes, hidden) < 1
    assert last_exponent(sizes, hidden) > 1.1
    fitted = growth.fit_growth(
        sizes,
        {
            "hidden, s": hidden,
            "linear, s": [5 + s for s in sizes],
            "tiny, s": [1e-7 * s**2 for s in sizes],
        },
    )
    named = [name for name in fitted if fitted[name]["faster_than_linear"]]
    assert named == ["hidden, s"]


def test_sides_take_turns_forwards_and_backwards():
    order = []
    turns = {name: lambda name=name: order.append(name) for name in "abc"}
    found = interleave(turns, 2, Deadline(60), lambda line: None)
    assert "".join(order) == "abccba"
    assert {name: len(values) for name, values in found.items()} == {
        "a": 2,
        "b": 2,
        "c": 2,
    }


def test_no_round_begins_that_would_end_late():
    lines = []
    turns = {"slow": lambda: time.sleep(0.2)}
    found = interleave(turns, 100, Deadline(0.7), lines.append)
    assert 1 <= len(found["slow"]) <= 3
    assert len(lines) == len(found["slow"])


def test_first_round_begins_even_without_time():
    found = interleave({"a": lambda: 1}, 5, Deadline(0.0), lambda line: None)
    assert found == {"a": [1]}


def test_busy_side_at_rest_is_noticed():
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        watch = IdleWatch({"measured": [os.getpid()], "other": [busy.pid]})
        watch.turn("measured", lambda: time.sleep(0.5))()
        calm = IdleWatch({"measured": [os.getpid()]})
        calm.turn("measured", lambda: time.sleep(0.1))()
    finally:
        busy.kill()
        busy.wait()
    assert watch.fraction > 0.1
    assert calm.fraction == 0


def test_memory_of_children_counts():
    hold = "import sys; x = bytearray(100 << 20); print(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", hold],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        with memory.PeakMemory([os.getpid()]) as with_child:
            child.stdout.readline()
        assert child.pid in memory.process_tree([os.getpid()])
        assert with_child.mib > memory.pss_mib(os.getpid()) + 90
    finally:
        child.communicate(b"\n")
    assert memory.pss_mib(child.pid) == 0


def test_side_that_ends_is_named_with_its_last_words(tmp_path):
    with Side("no_such_side", {}, tmp_path / "log") as side:
        with pytest.raises(
            SideError, match="(?s)no_such_side ended.*No module"
        ):
            side.receive()


def test_side_that_does_not_answer_is_not_waited_for(tmp_path):
    with Side("workload", {}, tmp_path / "log") as side:
        with pytest.raises(SideError, match="gave no answer in 0 s"):
            side.receive(limit_seconds=0.0)


def test_images_are_shaped_like_cifar():
    images, labels = synthetic_images(50, seed=0)
    assert images.shape == (50, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int32
    assert set(labels) <= set(range(10))
    assert (images != synthetic_images(50, seed=1)[0]).any()


def test_epoch_without_a_whole_batch_is_refused():
    with pytest.raises(ValueError, match="whole batch.*100 images.*128"):
        Workload(2, "resnet8", train_images=100)


def test_ways_to_share_the_machine():
    shared = {(m.at_once, m.threads) for m in candidate_modes(4, 2)}
    assert shared == {(1, 2), (2, 1), (4, 1)}
    shared = {(m.at_once, m.threads) for m in candidate_modes(4, 16)}
    assert shared == {(1, 16), (2, 8), (4, 4), (4, 1)}
    assert str(Mode(1, 2, True)) == ("1 at once, 2 threads each, channels last")


def measured(rounds=5):
    """Epochs in which the trainer takes 10 s and everything else 20 s."""
    own = {
        "seconds": 10.0,
        "cpu_seconds": 18.0,
        "open": 1.0,
        "train": 6.0,
        "validate": 2.0,
        "close": 1.0,
        "checkpoint_mib": 3.0,
    }
    fit = {**own, "seconds": 5.0, "cpu_seconds": 9.0, "train": 4.5}
    theirs = {"seconds": 20.0, "cpu_seconds": 27.0, "train": 15.0}
    return Epochs(
        first={},
        rounds={
            "trainer": [own] * rounds,
            "keras_fits": [total([fit] * 4)] * rounds,
            "gemm": [[[60.0, 100.0], [70.0, 100.0], [90.0, 100.0]]] * rounds,
            "input": [0.003] * rounds,
            "pytorch_tuned": [theirs] * rounds,
            "pytorch_as_shipped": [{**theirs, "seconds": 40.0}] * rounds,
            "pytorch_bare": [500.0] * rounds,
        },
        build_seconds=1.0,
        modes={},
        idle_fraction=0.0,
    )


def all_samples():
    workload = Workload(4, "resnet20")
    starts = Starts(
        {1: [2.0] * 5, 4: [4.0] * 5, 8: [8.0] * 5},
        {
            "trainer": [600.0] * 5,
            "keras_fits": [1200.0] * 5,
            "pytorch": [1000.0] * 5,
        },
    )
    runs = GraftRuns([0.5] * 5, [0.02] * 5, [1.0] * 5, [0.5] * 5, [0.1] * 5)
    return (
        summary.epoch_samples(measured(), workload)
        | summary.start_samples(starts, workload)
        | summary.graft_samples(runs)
    )


def test_keys_are_plain_numbers_with_intervals_beside():
    found = summary.estimates(all_samples())
    assert PROMISED <= found.keys()
    for key in PROMISED:
        assert isinstance(found[key], float)
        low, high = found["intervals"][key]
        assert low <= found[key] <= high
        assert found["coverage"][key] >= 0.9
    assert json.loads(json.dumps(found)) == found


def test_larger_ratios_are_better_for_the_trainer():
    found = summary.estimates(all_samples())
    # Four fits of 5 s each, one after the other.
    assert found["speedup_over_keras_fits"] == 2.0
    assert found["step_speedup_over_keras_fits"] == 3.0
    assert found["speedup_over_pytorch_tuned"] == 2.0
    assert found["speedup_over_pytorch_as_shipped"] == 4.0
    assert found["cpu_speedup_over_keras_fits"] == 2.0
    assert found["cpu_speedup_over_pytorch_tuned"] == 1.5
    # 19 grafts in 20 epochs: the first one begins without.
    assert found["graft_speedup_over_reference"] == 38.0
    assert found["graft_speedup_over_reference_tuned"] == 19.0
    assert found["gemm_fraction"] == 0.7
    # 20 steps of 0.3 s.
    assert found["input_fraction"] == pytest.approx(0.01)
    assert found["images_per_second"] == 1024
    assert found["step_speedup_over_bare_pytorch"] == pytest.approx(
        4 * 128 / 0.3 / 500
    )
    assert found["first_step_growth"] == 4.0
    assert found["memory_over_keras_processes"] == 0.5
    assert found["memory_over_pytorch_processes"] == 0.6


def test_every_target_is_measured():
    assert {target.key for target in targets.TARGETS} <= all_samples().keys()


def test_table_and_picture_show_floor_and_aim(tmp_path):
    result = {"networks": 4, "model": "resnet20"}
    result |= summary.estimates(all_samples())
    shown = "\n".join(targets.markdown(result))
    assert "| 2 | 2 to 2 | 1.4 | 2 |" in shown
    assert "| at most 6 | at most 3 |" in shown
    picture.draw([result, result], tmp_path / "bench.png")
    assert (tmp_path / "bench.png").stat().st_size > 10_000


def test_a_size_that_fails_loses_nothing_of_the_others(
    tmp_path, monkeypatch, capsys
):
    found = summary.estimates(all_samples()) | {"model": "resnet20"}

    def run(script, *arguments):
        options = dict(a.split("=", 1) for a in arguments if "=" in a)
        path = pathlib.Path(options["--json"])
        if path.name == "n8_mobilenetv2.json":
            return 1  # As one whose memory did not suffice.
        if script == "throughput.py":
            networks = int(options["--networks"])
            path.write_text(json.dumps(found | {"networks": networks}))
        return 0

    monkeypatch.setattr(bench, "run", run)
    monkeypatch.setattr(
        sys, "argv", ["bench.py", "--full", f"--folder={tmp_path}"]
    )
    assert bench.main() == 1
    assert "Failed: n8_mobilenetv2" in capsys.readouterr().err
    table = (tmp_path / "bench.md").read_text().splitlines()
    assert len([row for row in table if " x resnet20 |" in row]) == 11
    assert (tmp_path / "bench.png").stat().st_size > 10_000


def test_cost_of_a_term_is_what_a_step_takes_longer():
    plain, with_term = [1.0, 2.0], [1.5, 3.0]
    cost = costs.share_of(with_term, plain, added=True)
    assert cost["share"] == 0.5
    callback = costs.share_of([0.1, 0.1], [1.0, 1.0], added=False)
    assert callback["share"] == pytest.approx(0.1)


def test_growth_is_drawn_and_tabled(tmp_path):
    sizes = [1, 2, 4]
    values = {"step, s": [1.0, 2.0, 4.0], "divergence, s": [1.0, 4.0, 16.0]}
    result = {
        "axes": {
            "networks": {
                "words": "networks N",
                "sizes": sizes,
                "costs": values,
                "growth": growth.fit_growth(sizes, values),
            }
        }
    }
    growth.draw(result, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    linear, quadratic = growth.table(result)[2:]
    assert linear == "| networks N | step, s | 1 | 4 | 1.00 | 1.00 |  |"
    assert quadratic.endswith("| 2.00 | 2.00 | faster than linear |")


def test_entropy_of_the_rival_is_the_reference_one():
    torch = pytest.importorskip("torch")
    from measuring import torch_protocol

    # Whole numbers: no weight is at an edge by rounding.
    kernel = np.random.default_rng(0).integers(0, 11, (16, 8, 3, 3))
    counts = np.bincount(kernel.flatten())
    tensor = torch.tensor(kernel, dtype=torch.float32)

    def entropy(counts):
        shares = counts / kernel.size
        return -(shares * np.log(shares)).sum()

    # The reference loses the largest weights, which are above its last bin.
    assert torch_protocol.histogram_entropy(tensor) == pytest.approx(
        entropy(counts[:10])
    )
    with_largest = np.append(counts[:9], counts[9] + counts[10])
    assert torch_protocol.fast_entropy(tensor) == pytest.approx(
        entropy(with_largest)
    )


def test_rival_grafts_as_the_reference_does():
    torch = pytest.importorskip("torch")
    from measuring import torch_models
    from measuring import torch_protocol

    torch.manual_seed(0)
    own, peer = (torch_models.build("resnet8", 10) for _ in range(2))
    state = {k: v.clone() for k, v in own.state_dict().items()}
    kernel = "stem.0.weight"
    difference = torch_protocol.histogram_entropy(state[kernel]) - (
        torch_protocol.histogram_entropy(peer.state_dict()[kernel])
    )
    share = round(0.4 / np.pi * np.arctan(500 * difference) + 0.5, 2)
    assert 0.3 <= share <= 0.7
    torch_protocol.graft(own, peer.state_dict())
    for name in (kernel, "stem.1.weight"):
        expected = share * state[name] + (1 - share) * peer.state_dict()[name]
        torch.testing.assert_close(own.state_dict()[name], expected)


@pytest.mark.parametrize("name", ["resnet20", "mobilenetv2"])
def test_rival_trains_networks_of_the_same_size(name):
    pytest.importorskip("torch")
    from measuring import torch_models

    from keras_graft import models

    theirs = torch_models.count_parameters(torch_models.build(name, 10))
    ours = models.build(name, 10)
    assert theirs == sum(np.prod(v.shape) for v in ours.trainable_variables)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_trainer_computes_in_the_precision_of_the_workload(tmp_path, precision):
    from measuring.keras_side import launch_settings

    workload = Workload(1, "resnet8", precision=precision)
    assert launch_settings(workload, str(tmp_path)).precision == precision


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_rival_computes_in_the_precision_of_the_workload(tmp_path, precision):
    torch = pytest.importorskip("torch")
    from measuring.torch_side import Process

    workload = Workload(1, "resnet8", 16, 16, 16, precision)
    network = Process(workload, tmp_path, 0, os.pipe()).network
    outputs = network(torch.zeros(1, 3, 32, 32))
    assert str(outputs.dtype) == f"torch.{precision}"
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_rival_augments_like_the_trainer():
    torch = pytest.importorskip("torch")
    from measuring import torch_protocol

    torch.manual_seed(0)
    image = torch.arange(1, 65).reshape(1, 1, 8, 8)
    found = torch_protocol.pad_crop_flip(image.repeat(200, 1, 1, 1))
    assert found.shape == (200, 1, 8, 8)
    padded = np.pad(image[0, 0].numpy(), 4)
    windows = [
        window
        for top in range(9)
        for left in range(9)
        for window in [padded[top : top + 8, left : left + 8]]
    ]
    known = {w.tobytes() for w in windows}
    known |= {np.ascontiguousarray(w[:, ::-1]).tobytes() for w in windows}
    crops = {crop[0].numpy().tobytes() for crop in found}
    assert crops <= known
    assert len(crops) > 50


def test_batch_norm_study_reads_the_epoch_before_each_graft():
    # Grafts open the second and the fourth of four epochs.
    first = {
        "kind": "graft",
        "seed": 7,
        "momenta": [0.9],
        "steps_per_epoch": 70,
        "grafts_at": [1, 3],
        "end_of_epoch": [[0.1, 0.3], [0.9, 0.9], [0.4, 0.6], [0.5, 0.7]],
        "after_graft": [[0.1, 0.1], [0.2, 0.2]],
        "trained_weights": "a",
    }
    second = {
        **first,
        "kind": "reestimate",
        "after_graft": [[0.3, 0.3], [0.3, 0.3]],
    }
    lines = batch_norm_after_graft.markdown([first, second]).splitlines()
    assert lines[2:5] == [
        "| graft | 0.3500 | 0.1500 | 0.6000 |",
        "| reestimate | 0.3500 | 0.3000 | 0.6000 |",
        "| gain, seed 7 | +0.0000 | +0.1500 | +0.0000 |",
    ]
    assert "in both runs of 1 of 1 seeds" in lines[-1]


def test_batch_norm_study_tests_on_all_classes_of_a_sorted_split():
    labels = np.repeat(np.arange(10), 10)
    split = types.SimpleNamespace(images=labels[:, None], labels=labels)
    images, found = batch_norm_after_graft.spread(split, 40)
    np.testing.assert_array_equal(np.bincount(found), [4] * 10)
    np.testing.assert_array_equal(images[:, 0], found)
    assert len(batch_norm_after_graft.spread(split, 1000)[1]) == 100


def test_small_run_without_pytorch_writes_the_keys(tmp_path):
    path = tmp_path / "speed.json"
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "benchmarks" / "throughput.py"),
            *("--networks=2", "--model=resnet8", "--batch_size=8"),
            *("--train_images=16", "--validation_images=8", "--rounds=1"),
            *("--stages=epochs", "--no-pytorch", f"--json={path}"),
            *("--precision=bfloat16", "--", "--mutual_weight=0"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "epoch: N plain Keras fits" in done.stdout
    found = json.loads(path.read_text())
    assert found["networks"] == 2
    assert found["flags"] == ["--mutual_weight=0"]
    assert found["precision"] == "bfloat16"
    for key in ("speedup_over_keras_fits", "gemm_fraction", "input_fraction"):
        assert found[key] > 0
        low, high = found["intervals"][key]
        assert low <= found[key] <= high
    assert found["coverage"]["gemm_fraction"] == 0
    epoch = found["rounds"]["trainer"][0]
    parts = [epoch[part] for part in ("open", "train", "validate", "close")]
    assert sum(parts) == pytest.approx(epoch["seconds"])


def test_steps_in_turns_hold_every_side_against_the_first(tmp_path):
    path = tmp_path / "steps.json"
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "benchmarks" / "steps.py"),
            *("--networks=2", "--model=resnet8", "--batch_size=8"),
            *("--turns=5", f"--json={path}"),
            *("--of=trainer --norecompute", "--of=fit", "--of=trainer"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    first, fit, again = json.loads(path.read_text())
    assert first["seconds_over_first"]["median"] == 1
    assert again["side"] == "trainer"
    for row in (fit, again):
        pairs = zip(row["seconds"], first["seconds"], strict=True)
        assert row["seconds_over_first"]["median"] == pytest.approx(
            statistics.median(own / base for own, base in pairs)
        )
        assert row["peak_rss_mib"] > 100
        assert row["side"][:30] in done.stdout


def test_steps_of_another_version_come_from_its_folder(tmp_path):
    package = tmp_path / "keras_graft"
    benchmark = tmp_path / "benchmarks" / "measuring"
    for folder in (package, benchmark):
        folder.mkdir(parents=True)
    (benchmark / "__init__.py").write_text("")
    (benchmark / "keras_side.py").write_text("import keras_graft")
    (package / "__init__.py").write_text("raise RuntimeError('of the folder')")
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "benchmarks" / "steps.py"),
            f"--of=trainer @{tmp_path}",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert str(benchmark / "keras_side.py") in done.stderr
    assert "RuntimeError: of the folder" in done.stderr


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (["--of=torch"], "trainer or fit"),
        (["--of=fitting"], "trainer or fit"),
        (["--of="], "trainer or fit"),
        (["--of=fit --jit"], "takes no flags"),
        (["--of=fit"] * 2, "once"),
        (["--of=trainer @/nowhere"], "whole version of the project"),
    ],
)
def test_steps_of_unknown_or_equal_sides_are_refused(sides, message):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "steps.py", *sides],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert message in done.stderr
