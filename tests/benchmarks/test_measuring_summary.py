"""What is made of measurements: keys, tables and pictures."""

import json
import pathlib
import sys

import bench
import costs
import growth
import pytest
from measuring import picture
from measuring import summary
from measuring import targets
from measuring.epochs import Epochs
from measuring.epochs import total
from measuring.graft_runs import GraftRuns
from measuring.starts import Starts
from measuring.workload import Workload

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
