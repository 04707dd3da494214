"""Many processes at one study: each takes the next run that nobody has.

They see one folder, on one machine or on several. A process holds what it is
doing by a lock of the system, which is dropped however the process ends: then
another one goes on with the run, from its newest checkpoint.
"""

import contextlib
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence

from keras_graft.compare import outcomes
from keras_graft.compare.study import Run
from keras_graft.compare.study import Study
from keras_graft.runs.exit_codes import DONE
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.lock import DirectoryLock
from keras_graft.runs.lock import HeldError

# Between two looks at what others hold.
_PAUSE_SECONDS = 2.0
# For a run that others do, which everything left depends on.
MOST_HOURS = 24.0
# For those who read or write what belongs to the whole study.
_MOST_SECONDS = 60.0


@contextlib.contextmanager
def alone(study: Study) -> Iterator[None]:
    """Within it, no other process reads or writes the study's own files.

    Args:
        study: The study; its folder is made.

    Raises:
        RunError: If another process holds them for a minute.
    """
    study.folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + _MOST_SECONDS
    lock = DirectoryLock(study.folder)
    while True:
        try:
            lock.__enter__()
            break
        except HeldError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


@contextlib.contextmanager
def claim(study: Study, run: Run) -> Iterator[bool]:
    """Holds a run for this process.

    Args:
        study: The study.
        run: One of its runs.

    Yields:
        Whether it is ours; False if another process has it.
    """
    folder = study.folder / "claims" / run.folder.relative_to(study.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(DirectoryLock(folder))
            ours = True
        except HeldError:
            ours = False
        yield ours


def do_all(
    study: Study, runs: Sequence[Run], do: Callable[[Run], int], wait: bool
) -> tuple[int, list[Run]]:
    """Does every run that nobody has done or is doing.

    Args:
        study: The study.
        runs: Runs, each behind what it needs.
        do: Does a run that is ours; returns an exit code.
        wait: Whether to wait for the runs of others, since this process
            needs them. It waits anyway for one that another run needs.

    Returns:
        `(code, rest)`: an exit code, that of a run which ended early; and the
        runs that are in other hands.

    Raises:
        RunError: If others hold what is needed for a day.
    """
    seen, until = None, 0.0
    while True:
        code, left = _do_free(study, runs, do)
        if code != DONE or not left:
            return code, left
        if not wait and not any(_lacks_teacher(run) for run in left):
            return DONE, left
        names = ", ".join(f"{run.name} with seed {run.seed}" for run in left)
        if left != seen:
            # A day from the last that went on, here or there.
            seen, until = left, time.monotonic() + 3600 * MOST_HOURS
            print(f"Waiting for other processes: {names}.", flush=True)
        elif time.monotonic() > until:
            raise RunError(
                f"Other processes have held runs of {study.folder} for "
                f"{MOST_HOURS:g} hours, without which nothing goes on: "
                f"{names}. See whether they are alive; end them, and the same "
                "command takes the runs over."
            )
        time.sleep(_PAUSE_SECONDS)


def _do_free(study, runs, do):
    """One look after another, until all that is left is in other hands."""
    while True:
        left = [run for run in runs if outcomes.read(run.folder) is None]
        for run in left:
            if _lacks_teacher(run):
                continue
            with claim(study, run) as ours:
                if not ours:
                    continue
                # It may have been done between the look and the claim.
                if outcomes.read(run.folder) is None:
                    code = do(run)
                    if code != DONE:
                        return code, left
                break
        else:
            return DONE, left


def _lacks_teacher(run):
    return run.teacher is not None and outcomes.read(run.teacher.parent) is None
