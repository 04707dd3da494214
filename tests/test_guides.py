"""The guides: what they tell to type runs, from top to bottom of each page."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
GUIDES = ROOT / "docs" / "guides"
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def follow(name, folder):
    """Types what a guide says into a folder; returns what was printed."""
    binaries = pathlib.Path(sys.executable).parent
    shown = []
    for language, text in BLOCK.findall((GUIDES / name).read_text("utf-8")):
        start = {
            "python": [sys.executable, "-"],
            "bash": ["bash", "-euo", "pipefail"],
        }[language]
        done = subprocess.run(
            start,
            input=text,
            cwd=folder,
            env={
                **os.environ,
                "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout
        shown.append(done.stdout)
    return shown


def accuracy_in(output):
    return float(re.search(r"^test accuracy: (\S+)$", output, re.MULTILINE)[1])


@pytest.mark.slow
def test_own_model(tmp_path):
    (output,) = follow("own_model.md", tmp_path)
    assert accuracy_in(output) > 0.8
    code = BLOCK.search((GUIDES / "own_model.md").read_text("utf-8"))[2]
    training = code.partition("\nshipped = ")[0]
    assert len([line for line in training.splitlines() if line.strip()]) <= 20


@pytest.mark.slow
def test_own_images(tmp_path):
    _, trained, answer = follow("own_images.md", tmp_path)
    assert "Shipped: " in trained
    found = re.findall(
        r"/\d+\.png: digit (\d) [01]\.\d+$", answer, re.MULTILINE
    )
    assert len(found) > 100
    # More than a guess, after a few steps.
    assert found.count("3") > len(found) / 3
    for name in ("report.html", "classes.json", "card.md"):
        assert (tmp_path / "run" / name).exists()


@pytest.mark.slow
def test_choosing(tmp_path):
    one, two, both = follow("choosing.md", tmp_path)
    assert "1 x resnet8" in one and "2 x resnet8" in two
    assert re.search(r"mutual_average +\d+ ", both)
    kept = [path.name for path in (tmp_path / "runs" / "compare").iterdir()]
    assert {"plan.flags", "hours.json"} <= set(kept) and "runs" not in kept


@pytest.mark.slow
def test_a_pretrained_base_is_fine_tuned_in_two_phases(tmp_path):
    (output,) = follow("fine_tuning.md", tmp_path)
    assert output.count("There is no convolution kernel to graft") == 1
    assert accuracy_in(output) > 0.9


@pytest.mark.slow
def test_paper(tmp_path):
    checked, trained = follow("paper.md", tmp_path)
    assert "dml.flags" in checked
    assert "Shipped: network_" in trained
    assert "optimistic" in (tmp_path / "run" / "results.json").read_text()


def test_every_guide_is_followed_by_a_test():
    followed = re.findall(
        r'follow\("(\w+\.md)"', pathlib.Path(__file__).read_text()
    )
    assert sorted(followed) == sorted(p.name for p in GUIDES.glob("*.md"))
