"""The command, as a user types it, or run in this process."""

import os
import pathlib
import subprocess
import sys
import time

import pytest

from keras_graft import flags
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.run import run
from keras_graft.runs.signals import StopSignals

ROOT = pathlib.Path(__file__).resolve().parents[1]


def start(*arguments, cwd, **environment):
    """The command's process, with `environment` added to this one's."""
    return subprocess.Popen(
        [sys.executable, "-m", "keras_graft.launch", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def launch(*arguments, cwd):
    """The command's process when it has ended."""
    with start(*arguments, cwd=cwd) as process:
        try:
            output, errors = process.communicate(timeout=300)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(
        process.args, process.returncode, output, errors
    )


def launch_here(*arguments):
    """Exit code and message of the same run in this process."""
    values = flags.FlagValues()
    flags.define(values)
    settings = flags.parse(["launch", *arguments], values)
    with StopSignals() as signals:
        try:
            return run(settings, signals), ""
        except RunError as error:
            return error.exit_code, str(error)


def run_python(code, *arguments, **environment):
    """What a program prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for(path, *processes):
    """Waits until a file is there, or one of the processes has ended."""
    for _ in range(2400):
        if path.exists():
            return
        for process in processes:
            if process.poll() is not None:
                pytest.fail(process.communicate()[1])
        time.sleep(0.05)
    pytest.fail(f"{path} did not appear")
