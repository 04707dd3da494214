"""What a run does to the folder that it is given, without TensorFlow."""

import os
import pathlib
import types
import zipfile

import pytest

from keras_graft import flags
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.run import run
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.signals import StopSignals
from keras_graft.runs.whole_files import save_network
from keras_graft.runs.whole_files import write_atomically

FLAGS = "--dataset=digits\n--epochs=2\n"


def settings(**values):
    usual = {"resume": "auto", "epochs": 2, "num_networks": 2, "export": ()}
    return types.SimpleNamespace(**{**usual, **values})


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        if path.is_file()
        else None
        for path in folder.rglob("*")
    }


def test_only_what_this_package_left_is_removed(tmp_path):
    own = (
        ".keras_graft-history.csv.123.tmp",
        ".keras_graft-network_0.123.tmp.keras",
    )
    others = (
        ".mynotes.tmp",
        ".model.tmp.keras",
        ".history.csv.swp",
        ".keras_graft-ideas.tmp",
        "keras_graft-history.csv.123.tmp",
    )
    for name in own + others:
        (tmp_path / name).write_text("precious")
    folder = tmp_path / ".keras_graft-history.csv.9.tmp"
    folder.mkdir()
    (tmp_path / ".keras_graft-x.7.tmp").symlink_to(tmp_path / others[0])
    RunDirectory(tmp_path).remove_stale()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*others, folder.name, ".keras_graft-x.7.tmp"}


def test_names_in_the_making_are_those_that_are_removed(tmp_path):
    directory = RunDirectory(tmp_path)

    class Killed(BaseException):
        pass

    class Network:
        def save(self, path):
            path.write_bytes(b"half")
            left.write_bytes(path.read_bytes())
            raise Killed

    for name in ("shipped", "network_1"):
        # What stays when the process dies there: a name of another process.
        left = tmp_path / f".keras_graft-{name}.1.tmp.keras"
        with pytest.raises(Killed):
            save_network(Network(), tmp_path / f"{name}.keras")
        assert [path.name for path in tmp_path.iterdir()] == [left.name]
        directory.remove_stale()
        assert list(tmp_path.iterdir()) == []
    write_atomically(directory.history, "epoch\n")
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


@pytest.mark.parametrize(
    "name",
    ["report.html", "network_7.keras", "results.json", "tensorboard/events"],
)
def test_file_of_another_that_a_run_would_replace_is_refused(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("precious")
    before = content(tmp_path)
    with pytest.raises(RunError, match="holds no run") as error:
        RunDirectory(tmp_path).is_finished(settings(), FLAGS)
    assert name.partition("/")[0] in str(error.value)
    assert "another --workdir" in str(error.value)
    assert content(tmp_path) == before


def test_other_files_are_named_before_anything_is_written(tmp_path, capsys):
    for i in range(9):
        (tmp_path / f"photo_{i}.png").touch()
    # A run has no file of its folder's name.
    (tmp_path / tmp_path.name).touch()
    directory = RunDirectory(tmp_path)
    assert not directory.is_finished(settings(), FLAGS)
    directory.create()
    said = capsys.readouterr().out
    assert "holds no run, but photo_0.png, photo_1.png" in said
    assert "and 5 more" in said
    assert len(content(tmp_path)) == 10


@pytest.mark.parametrize(
    "make",
    [
        lambda run: None,
        lambda run: (run / ".lock").write_text("host here, process 7\n"),
        lambda run: (run / "checkpoints").mkdir(),
        lambda run: (run / ".keras_graft-flags.txt.1.tmp").touch(),
        lambda run: (run / "flags.txt").write_text(FLAGS),
        lambda run: (run / "checkpoints" / "epoch-000001").mkdir(parents=True),
    ],
)
def test_traces_of_a_run_of_ours_are_no_word_worth(tmp_path, capsys, make):
    make(tmp_path)
    directory = RunDirectory(tmp_path)
    assert not directory.is_finished(settings(), FLAGS)
    directory.create()
    assert capsys.readouterr().out == ""


def test_folder_of_all_takes_no_run(tmp_path, monkeypatch):
    home = tmp_path / "users" / "me"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for folder in (pathlib.Path("/"), home, home.parent, home / ".." / "me"):
        with pytest.raises(RunError, match="no folder of a run's own"):
            RunDirectory(folder).is_finished(settings(), FLAGS)
    assert not RunDirectory(home / "run").is_finished(settings(), FLAGS)
    assert list(home.iterdir()) == []
    # A run that lies there already goes on.
    (home / "flags.txt").write_text(FLAGS)
    assert not RunDirectory(home).is_finished(settings(), FLAGS)


@pytest.mark.parametrize("name", ["flags.txt", "results.json", "images.csv"])
def test_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path, name):
    (tmp_path / "flags.txt").write_text(FLAGS)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(RunError, match=f"{name} is a named pipe"):
        RunDirectory(tmp_path).is_finished(settings(), FLAGS)


def test_escape_sequence_in_a_folder_is_shown_escaped(tmp_path, capsys):
    folder = tmp_path / "cw\x1b[31md"
    folder.mkdir()
    (folder / "notes").touch()
    RunDirectory(folder).create()
    assert "cw\\x1b[31md holds no run, but notes" in capsys.readouterr().out
    # Whoever calls `run` may name any folder.
    values = flags.FlagValues()
    flags.define(values)
    asked = flags.parse(["launch", f"--workdir={tmp_path}/x"], values)
    asked = asked._replace(workdir=str(folder))
    (folder / "flags.txt").write_text(flags.flags_text(asked))
    (folder / "results.json").write_text(f'{{"epochs": {asked.epochs}}}')
    networks = [f"network_{k}.keras" for k in range(asked.num_networks)]
    for name in ("history.csv", "report.html"):
        (folder / name).write_text("whole")
    for name in ("shipped.keras", *networks):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("config.json", "")
            archive.writestr("model.weights.h5", "")
    with StopSignals() as signals:
        assert run(asked, signals) == 0
    said = capsys.readouterr().out
    assert "This run is finished: " in said and "cw\\x1b[31md" in said
    assert said.removesuffix("\n").isprintable()
