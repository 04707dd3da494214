"""Benchmarks as a user runs them, small and without PyTorch."""

import json
import pathlib
import statistics
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.slow
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


@pytest.mark.slow
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
    found = json.loads(path.read_text())
    assert found["machine"]["cores"] > 0
    first, fit, again = found["sides"]
    assert first["seconds_over_first"]["median"] == 1
    assert again["side"] == "trainer"
    for row in (fit, again):
        pairs = zip(row["seconds"], first["seconds"], strict=True)
        assert row["seconds_over_first"]["median"] == pytest.approx(
            statistics.median(own / base for own, base in pairs)
        )
        assert row["peak_rss_mib"] > 100
        assert row["first_step_seconds"] > 0
        assert row["side"] in done.stdout


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


def test_retrieval_is_held_against_the_bare_product(tmp_path):
    path = tmp_path / "retrieval.json"
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "benchmarks" / "retrieval.py"),
            *("--queries=20", "--gallery=100", "--size=8", "--rounds=5"),
            *("--reranking", f"--json={path}"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "metrics over bare: " in done.stdout
    found = json.loads(path.read_text())
    ratio = found["metrics_over_bare"]
    assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
    assert found["peak_rss_mib"] <= found["reranking"]["peak_rss_mib"]


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        (["--of=torch"], "trainer, resident, fit, pytorch"),
        (["--of=fitting"], "trainer, resident, fit, pytorch"),
        (["--of="], "trainer, resident, fit, pytorch"),
        (["--of=fit --epochs=2"], "for fit the flags --jit"),
        ([f"--of=fit --jit @{ROOT}"], "fit without flags"),
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
