"""Images a second from a folder of files: what is read, and what is said."""

import sys

import input as input_benchmark
import pytest

from keras_graft.data.folder.image_file import size_of


@pytest.fixture
def few(tmp_path, monkeypatch):
    """Eight files, of which a side reads two batches of four."""
    monkeypatch.setattr(input_benchmark, "BATCH", 4)
    monkeypatch.setattr(input_benchmark, "SIDE", 16)
    monkeypatch.setattr(input_benchmark, "READY", 1)
    monkeypatch.setattr(input_benchmark, "STEPS", 1)
    input_benchmark.write_images(tmp_path / "images", 8)
    return tmp_path / "images"


def test_every_side_reads_the_files(few):
    files = sorted(few.rglob("*.jpg"))
    assert len(files) == 8
    assert {size_of(path) for path in files} == {(500, 375)}
    sides = input_benchmark.make_sides(few)
    assert list(sides) == [
        *("bare", "keras", "three views, standard"),
        *("three views, resized_crop", "one view, standard"),
    ]
    for side in sides.values():
        found = side()
        assert found["rate"] > 0
        assert found["milliseconds"] > 0


def test_ratios_are_over_the_side_that_a_floor_is_for():
    speeds = {
        "bare": [{"rate": 100.0, "milliseconds": 10.0}] * 3,
        "keras": [{"rate": 50.0, "milliseconds": 20.0}] * 3,
        "three views, standard": [{"rate": 90.0, "milliseconds": 12.5}] * 3,
        "three views, resized_crop": [{"rate": 60.0, "milliseconds": 40.0}] * 3,
        "one view, standard": [{"rate": 75.0, "milliseconds": 16.0}] * 3,
    }
    found = input_benchmark.summary(speeds)
    found[input_benchmark.MEMORY] = 12.3
    lines = input_benchmark.table(found).splitlines()
    assert len(lines) == 5 + 3 + 1
    assert lines[5].startswith(
        "three views, standard over bare: 0.90 (0.90 to 0.90), "
        "by processor time 0.80"
    )
    assert "one view, standard over keras: 1.50" in lines[7]
    assert lines[8] == "with four times the files: 12 MiB more"


def test_a_process_that_only_reads_says_its_peak(few, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["input.py", f"--peak_of={few}"])
    input_benchmark.main()
    # MiB: TensorFlow alone takes hundreds.
    assert 100 < float(capsys.readouterr().out) < 100_000
