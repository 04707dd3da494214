"""What the shipped network answers: measures, and the page about them."""

import html
import math
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
from finished import finished

from keras_graft import data
from keras_graft.runs import answer_sections
from keras_graft.runs.answers import Answers
from keras_graft.runs.answers import ask
from keras_graft.runs.run_report import report_html


def answers_of(labels, predicted, confidence, num_classes, side=8):
    rng = np.random.default_rng(0)
    shape = (len(labels), side, side, 3)
    return Answers(
        rng.integers(0, 256, shape, "uint8"),
        np.array(labels, "int32"),
        np.array(predicted),
        np.array(confidence),
        num_classes,
    )


@pytest.fixture
def few():
    return answers_of(
        labels=[0, 0, 0, 1, 1, 0],
        predicted=[0, 1, 1, 1, 2, 0],
        confidence=[0.95, 0.5, 0.9, 0.7, 0.9, 1.0],
        num_classes=4,
    )


def random_answers(count, num_classes, side=8):
    rng = np.random.default_rng(1)
    labels = np.arange(count) % num_classes
    predicted = np.where(
        rng.random(count) < 0.7, labels, rng.integers(0, num_classes, count)
    )
    confidence = rng.random(count) ** 0.2
    return answers_of(labels, predicted, confidence, num_classes, side)


def test_confusions_and_classes_are_counted(few):
    np.testing.assert_array_equal(
        few.confusion_matrix(),
        [[2, 2, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    )
    assert few.confusions() == [(0, 1, 2, 0.5), (1, 2, 1, 0.5)]
    counts, accuracies = zip(*few.by_class())
    assert counts == (4, 2, 0, 0)
    assert accuracies[:2] == (0.5, 0.5)
    assert all(map(math.isnan, accuracies[2:]))


def test_worst_mistakes_are_the_surest_and_equal_ones_in_order(few):
    assert few.worst().tolist() == [2, 4, 1]
    many = random_answers(500, 10)
    assert len(many.worst()) == 12
    assert not many.right[many.worst()].any()


def test_samples_are_spread_over_all_images(few):
    assert few.samples().tolist() == [0, 1, 2, 3, 4, 5]
    assert random_answers(240, 10).samples().tolist() == list(
        range(10, 240, 20)
    )


def test_calibration_error_is_that_of_the_definition():
    many = random_answers(1000, 10)
    expected = 0.0
    for low in np.arange(15) / 15:
        # Guo et al. 2017, in 15 intervals.
        inside = (many.confidence >= low) & (many.confidence < low + 1 / 15)
        if inside.any():
            gap = many.right[inside].mean() - many.confidence[inside].mean()
            expected += inside.mean() * abs(gap)
    assert many.expected_calibration_error() == pytest.approx(expected)
    sure = answers_of([0, 1], [0, 0], [1.0, 1.0], 2)
    assert sure.expected_calibration_error() == 0.5


def test_network_is_asked_about_every_image():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 2, 2, 1)).astype("uint8")
    split = data.Split(images, np.zeros(300, "int32"))
    network = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    weights = rng.normal(size=(4, 3)) / 100
    network.set_weights([weights, np.zeros(3)])
    answers = ask(network, split, 3)
    logits = images.reshape(300, 4) @ weights
    powers = np.exp(logits)
    expected = powers / powers.sum(-1, keepdims=True)
    np.testing.assert_array_equal(answers.predicted, logits.argmax(-1))
    np.testing.assert_allclose(answers.confidence, expected.max(-1), rtol=1e-5)
    # What gives no numbers makes a page all the same.
    network.set_weights([weights * np.nan, np.zeros(3)])
    assert ask(network, split, 3).expected_calibration_error() == 1.0


def test_page_shows_pictures_names_and_measures(few):
    names = ["cat", "<b>dog", "ö", "none"]
    text = "".join(answer_sections.sections(few, names))
    assert text.count("data:image/png") == 9
    assert "<b>dog" not in text and "&lt;b&gt;dog" in text
    assert "Of 3 wrong answers to 6 test images" in text
    assert "<td>cat</td><td>&lt;b&gt;dog</td><td>2</td><td>50 %</td>" in text
    error = few.expected_calibration_error()
    assert f"<b>{error:.4f}</b>" in text
    assert text == "".join(answer_sections.sections(few, names))


def test_no_mistake_is_said(few):
    right = answers_of([0, 1], [0, 1], [0.9, 0.8], 2)
    text = "".join(answer_sections.sections(right, None))
    assert "None: every answer is right" in text
    assert "largest confusions" not in text


def test_many_classes_are_the_worst_ones_alone():
    many = random_answers(3000, 1000)
    text = "".join(answer_sections.sections(many, None))
    assert "class='matrix'" not in text
    assert "The 15 classes with the lowest, of 1000" in text
    assert text.count("<tr>") == 2 + 15 + 15


def test_large_images_are_made_small():
    many = random_answers(40, 4, side=400)
    text = "".join(answer_sections.sections(many, None))
    pictures = len(many.samples()) + len(many.worst())
    assert text.count("data:image/jpeg") == pictures > 12
    # Noise, which no picture is larger than.
    assert len(text) < pictures * 40_000


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Asks the page itself, laid out at the width of a telephone.
FRAME = """<iframe id='f' style='border:0;width:360px;height:800px'
srcdoc='{page}'></iframe><pre id='found'></pre><script>
f.onload = () => {{
    const d = f.contentDocument;
    const loaded = [...d.images].filter((i) => i.naturalWidth > 0).length;
    const wide = d.documentElement.scrollWidth;
    const asked = f.contentWindow.performance.getEntriesByType("resource");
    const outside = asked.filter((r) => !r.name.startsWith("data:")).length;
    found.textContent = [wide, loaded, d.images.length, outside].join(" ");
}};
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("num_classes", [10, 100])
def test_page_fits_a_telephone_in_a_browser(tmp_path, num_classes):
    long = "Rhododendron_ferrugineum_var_albiflorum_"
    names = [f"{long * 2}{k}" for k in range(num_classes)]
    answers = random_answers(600, num_classes, side=80)
    results = finished(
        class_names=names, dataset="folder:/home/somebody/" + long * 4
    )
    history = {
        f"{log}": [0.25, 0.5]
        for log in (
            *(f"val_network_{k}_accuracy" for k in range(2)),
            *(f"network_{k}_invalid_filters" for k in range(2)),
            "val_ensemble_accuracy",
            "divergence",
        )
    }
    page = report_html(
        results, history, {}, f"--dataset=folder:/{long * 9}\n", answers
    )
    assert not re.search(r"(src|href)=.(?!data:)|url\(|https?:", page)
    file = tmp_path / "frame.html"
    file.write_text(FRAME.format(page=html.escape(page, quote=True)), "utf-8")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=240,
    )
    found = re.search(r'<pre id="found">([^<]+)', done.stdout)
    assert found, done.stderr
    wide, loaded, images, outside = map(int, found[1].split())
    assert wide <= 360
    assert loaded == images == 24 + 3
    assert outside == 0
