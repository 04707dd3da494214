"""The command where its surroundings fail: streams, folders, clock, signals."""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest
from launching import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "keras_graft.launch")
SMALL = (
    "--train_examples=64",
    "--num_networks=1",
    "--batch_size=32",
    "--schedule=constant",
    "--workdir=run",
)
_STARTED = []
# A clock that is an hour earlier whenever somebody looks.
CLOCK = """
import time
now = time.time()
def earlier():
    global now
    now -= 3600
    return now
time.time = earlier
"""
# Waits where absl is to be imported, and says that it is there.
SLOW_IMPORT = """
import pathlib, sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "absl":
            pathlib.Path("importing").touch()
            time.sleep(60)
sys.meta_path.insert(0, Slow())
"""


def environ(*first):
    path = os.pathsep.join(map(str, (*first, ROOT)))
    return {**os.environ, "PYTHONPATH": path}


def start(*arguments, cwd, **options):
    process = subprocess.Popen(
        [*COMMAND, *SMALL, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **{"env": environ(), **options},
    )
    _STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def nothing_left_running():
    """Ends what a failed test left behind."""
    yield
    while _STARTED:
        _STARTED.pop().kill()


def heed_permissions():
    """Lets the rights of files hold for root, too, in the child to be."""
    if os.geteuid() == 0:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        drop_from_bounding_set, override, read_search = 24, 1, 2
        for capability in (override, read_search):
            if prctl(drop_from_bounding_set, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start("--epochs=2", cwd=folder)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return folder / "run"


# Streams and sessions.


@pytest.mark.parametrize(
    "redirection, said",
    [
        (" | head -1", "Standard output cannot be written any more"),
        pytest.param(" <&- >&- 2>&-", "", marks=pytest.mark.slow),
        pytest.param(
            " > /dev/full",
            "Standard output cannot be written any more",
            marks=pytest.mark.slow,
        ),
        pytest.param(" 2>&1 | true", "", marks=pytest.mark.slow),
    ],
)
def test_run_outlives_its_streams(tmp_path, undisturbed, redirection, said):
    command = " ".join((*COMMAND, *SMALL, "--epochs=2"))
    done = subprocess.run(
        ["bash", "-c", f"{command} {redirection}; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env=environ(),
        capture_output=True,
        text=True,
        # No terminal either.
        start_new_session=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    run = tmp_path / "run"
    assert (run / "shipped.keras").exists()
    for name in ("history.csv", "flags.txt"):
        expected = (undisturbed / name).read_text()
        expected = expected.replace(str(undisturbed.parent), str(tmp_path))
        # Nothing that was printed has landed in a file.
        assert (run / name).read_text() == expected


def test_characters_that_a_stream_lacks_are_escaped(tmp_path):
    done = subprocess.run(
        [*COMMAND, "--plan", "--workdir=café"],
        cwd=tmp_path,
        env={**environ(), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert r"caf\xe9" in done.stdout


@pytest.mark.slow
def test_environment_of_another_program_does_no_harm(tmp_path):
    done = subprocess.run(
        [*COMMAND, *SMALL, "--epochs=1"],
        cwd=tmp_path,
        env={
            **environ(),
            "MPLBACKEND": "no_such_backend",
            "KERAS_BACKEND": "no_such_backend",
            "TMPDIR": "/no/such/folder",
            "COLUMNS": "many",
            "LC_ALL": "no_such_locale",
            "TERM": "",
            "TF_CONFIG": "{}",
            "TF_NUM_INTRAOP_THREADS": "many",
            "OMP_NUM_THREADS": "many",
            "HOME": "/no/such/folder",
            "KERAS_HOME": "/no/such/folder",
            "MPLCONFIGDIR": "/no/such/folder",
            "CUDA_VISIBLE_DEVICES": "none",
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/report.html").exists()


def test_threads_below_none_are_refused(tmp_path):
    done = subprocess.run(
        [*COMMAND, *SMALL],
        cwd=tmp_path,
        env={**environ(), "TF_NUM_INTEROP_THREADS": "-3"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 1, done.stderr
    assert "TF_NUM_INTEROP_THREADS=-3" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_clock_that_goes_back_changes_nothing(tmp_path, undisturbed):
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    process = start("--epochs=2", cwd=tmp_path, env=environ(tmp_path))
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    run = tmp_path / "run"
    history = (run / "history.csv").read_bytes()
    assert history == (undisturbed / "history.csv").read_bytes()
    assert 0 < json.loads((run / "results.json").read_text())["seconds"] < 240


# Signals.


@pytest.mark.slow
def test_closed_terminal_ends_a_run_as_sigterm_does(tmp_path):
    process = start(
        "--epochs=5000",
        cwd=tmp_path,
        start_new_session=True,
        # It is ignored where the tests run under nohup.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    wait_for(tmp_path / "run/checkpoints/epoch-000001", process)
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP
    assert "SIGHUP: stopping after this step" in errors
    assert "Stopped by SIGHUP. The newest checkpoint is verified" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_nohup_lets_a_run_go_on(tmp_path):
    process = start(
        "--epochs=5000",
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    wait_for(tmp_path / "run/checkpoints/epoch-000001", process)
    process.send_signal(signal.SIGHUP)
    wait_for(tmp_path / "run/checkpoints/epoch-000004", process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "SIGHUP" not in errors


DEFAULT = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


@pytest.mark.parametrize(
    "number, code",
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_signal_while_modules_are_imported_leaves_in_a_word(
    tmp_path, number, code
):
    (tmp_path / "sitecustomize.py").write_text(SLOW_IMPORT)
    process = start(
        cwd=tmp_path,
        env=environ(tmp_path),
        # A shell that starts the tests in the background has it ignored.
        preexec_fn=lambda: signal.signal(number, DEFAULT[number]),
    )
    wait_for(tmp_path / "importing", process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (code, "")
    assert errors == f"Stopped by {signal.Signals(number).name}.\n"


# Folders.


def test_folder_that_is_removed_under_a_run_is_named(tmp_path):
    process = start("--epochs=5000", cwd=tmp_path)
    wait_for(tmp_path / "run/checkpoints/epoch-000002", process)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"Error: {tmp_path / 'run'} is gone" in errors
    assert "Traceback" not in errors


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities of Linux")
@pytest.mark.parametrize(
    "closed, workdir",
    [
        ("secret", "secret/run"),
        ("secret", "secret"),
        ("secret/run/.lock", "secret/run"),
        ("secret/run/flags.txt", "secret/run"),
        ("secret/run/results.json", "secret/run"),
        ("secret/run/checkpoints", "secret/run"),
    ],
)
def test_what_this_user_may_not_read_is_named(
    tmp_path, undisturbed, closed, workdir
):
    run = tmp_path / "secret/run"
    shutil.copytree(undisturbed, run)
    # As this command would have left it.
    flags = (run / "flags.txt").read_text()
    (run / "flags.txt").write_text(
        flags.replace(str(undisturbed), str(tmp_path / workdir))
    )
    (run / ".lock").touch()
    if closed.endswith((".lock", "checkpoints")):
        (run / "results.json").unlink()
    (tmp_path / closed).chmod(0)
    process = start(
        "--epochs=2",
        f"--workdir={tmp_path / workdir}",
        cwd=tmp_path,
        preexec_fn=heed_permissions,
    )
    _, errors = process.communicate(timeout=60)
    (tmp_path / closed).chmod(0o700)
    assert process.returncode in (1, 4), errors
    assert "Traceback" not in errors
    assert errors.count("Error: ") == 1
    assert str(tmp_path / "secret") in errors
    assert "ermission denied" in errors or "this user may write" in errors


@pytest.mark.parametrize(
    "workdir", ["a" * 300, "b/" * 3000, f"c/{'d' * 300}/e"]
)
def test_path_that_is_too_long_is_named(tmp_path, workdir):
    process = start(f"--workdir={workdir}", cwd=tmp_path)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "File name too long" in errors
    assert "Traceback" not in errors
    assert len(errors) < 500
    assert list(tmp_path.iterdir()) == []


def test_current_folder_that_is_gone_is_named(tmp_path):
    inside = tmp_path / "gone"
    inside.mkdir()
    done = subprocess.run(
        ["bash", "-c", f"rmdir {inside}; {' '.join(COMMAND)} --epochs=2"],
        cwd=inside,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "the current folder cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
