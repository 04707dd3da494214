"""Names that a terminal would obey are shown, everywhere."""

import os
import pathlib
import subprocess
import sys
import types

import keras
import pytest

import keras_graft
from keras_graft.checkpoint.manifest import CheckpointError
from keras_graft.runs.exit_codes import RunError
from keras_graft.structure.printable import printable

ROOT = pathlib.Path(__file__).resolve().parents[2]
RED = "\x1b[31m"


@pytest.mark.parametrize(
    "text, shown",
    [
        ("conv_1", "conv_1"),
        ("Größe 5", "Größe 5"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\r\nb", r"a\r\nb"),
        # Turns the rest of a line round.
        ("a\u202eb", r"a\u202eb"),
        ("a\udcffb", r"a\udcffb"),
        ("\x9b31m", r"\x9b31m"),
    ],
)
def test_what_cannot_be_seen_has_an_escape(text, shown):
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_lines_are_kept_where_they_are_meant():
    assert printable("a\nb\x1b", kept="\n") == "a\nb\\x1b"
    assert str(RunError(f"{RED}\nno")) == "\\x1b[31m\nno"
    assert str(CheckpointError(f"{RED}\nno")) == "\\x1b[31m\nno"


class Layer(keras.layers.Conv2D):
    pass


Layer.__name__ = f"{RED}Layer"


def with_red_names(seed=0):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            Layer(4, 3, name=f"{RED}conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ],
        name=f"{RED}net",
    )


def test_tables_show_it():
    model = with_red_names()
    for report in (
        keras_graft.diagnose(model),
        keras_graft.diagnosis.compare(
            [model, with_red_names(1)], names=[f"{RED}a", "b"]
        ),
    ):
        text = str(report)
        assert "\x1b" not in text
        assert r"\x1b[31m" in text
    text = str(keras_graft.diagnose(model))
    for name in (r"\x1b[31mconv", r"\x1b[31mLayer", r"\x1b[31mnet"):
        assert name in text


def test_errors_show_it():
    with pytest.raises(ValueError) as error:
        keras_graft.diagnose(
            keras.Sequential(
                [keras.Input((2,)), keras.layers.Dense(2)], name=f"{RED}net"
            )
        )
    assert "\x1b" not in str(error.value)


def test_picture_can_be_drawn(tmp_path):
    keras_graft.diagnose(with_red_names()).plot(tmp_path / "picture.svg")
    assert "\x1b" not in (tmp_path / "picture.svg").read_text()


def test_coefficients_hold_it_escaped():
    graft = keras_graft.GraftCallback(blend="kernels", start=0)
    model = types.SimpleNamespace(
        networks=[with_red_names(k) for k in range(2)]
    )
    graft.set_model(model)
    graft.on_train_begin()
    graft.on_epoch_begin(0)
    # As they go into coefficients.csv, and from there into the report.
    assert list(graft.coefficients) == [r"\x1b[31mconv"]


@pytest.mark.slow
def test_command_shows_it(tmp_path):
    file = tmp_path / f"{RED}x.keras"
    model = with_red_names()
    # Only its own class can be loaded elsewhere.
    plain = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name=f"{RED}conv")]
    )
    plain.save(file)
    del model
    other = tmp_path / f"{RED}y.keras"
    plain.save(other)
    for files in ([file], [file, other], [tmp_path / f"{RED}none.keras"]):
        done = subprocess.run(
            [sys.executable, "-m", "keras_graft.diagnosis", *files],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        told = done.stdout + done.stderr
        assert "\x1b[31m" not in told
        assert r"\x1b[31m" in told


@pytest.mark.parametrize("name", [f"{RED}mine.flags", f"{RED}none.flags"])
def test_flagfile_is_shown_with_it(tmp_path, name):
    (tmp_path / f"{RED}mine.flags").write_text("--epochs=0\n")
    done = subprocess.run(
        [sys.executable, "-m", "keras_graft.launch", f"--flagfile={name}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert r"\x1b[31m" in done.stderr
