"""What a run goes on with, and what is said about it."""

from typing import Any

from keras_graft.checkpoint.files import newest_checkpoint
from keras_graft.checkpoint.manifest import CheckpointError
from keras_graft.runs.changed_flags import refuse_changes
from keras_graft.runs.changed_flags import refuse_fewer_epochs
from keras_graft.runs.exit_codes import CHECKPOINT_UNUSABLE
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.run_state import about_run
from keras_graft.runs.run_state import sha256
from keras_graft.structure.printable import printable


def restore(
    settings: Any,
    directory: RunDirectory,
    trainer: Any,
    flags_text: str,
    again: bool = False,
) -> tuple[Any, list[str]]:
    """Brings a trainer to where the run in a folder was.

    Args:
        settings: The run's flags.
        directory: Its folder.
        trainer: Its trainer, compiled.
        flags_text: The flags as a flagfile.
        again: Whether it was done before in this process, so that nothing is
            said.

    Returns:
        `(checkpoint, notes)`: the `RunCheckpoint` to train on with, and
        sentences for the protocol of the results.

    Raises:
        RunError: If no checkpoint can be used, or the flags are of another
            run.
    """
    from keras_graft.checkpoint.run_checkpoint import RunCheckpoint

    checkpoint = RunCheckpoint(directory.checkpoints)
    try:
        epoch = checkpoint.restore(trainer)
    except CheckpointError as error:
        raise RunError(str(error), CHECKPOINT_UNUSABLE) from error
    longer = []
    if checkpoint.restored is not None:
        about, before = about_run(checkpoint.restored)
        refuse_fewer_epochs(directory.path, epoch, settings.epochs)
        changes = refuse_changes(directory.path, about.flags, flags_text)
        longer = [list(change) for change in about.longer]
        if before != settings.epochs:
            longer = [*longer, [epoch, before, settings.epochs]]
        if not again:
            for line in changes:
                print(printable(f"Changed: {line}"))
            print(f"Resumed after epoch {epoch} of {settings.epochs}.")
    checkpoint.about = {
        "flags": flags_text,
        "flags_sha256": sha256(flags_text),
        "longer": longer,
    }
    notes = [_longer_note(settings.schedule, *change) for change in longer]
    for note in [] if again else notes:
        print(note)
    return checkpoint, notes


def where_it_stopped(settings: Any, cause: str) -> str:
    """What a person wants to know of a run that ended early.

    Args:
        settings: The run's flags.
        cause: What ended it, as in `"Stopped by SIGTERM"`.

    Returns:
        A few sentences; the newest checkpoint that they name is verified.
    """
    directory = RunDirectory(settings.workdir)
    try:
        found = newest_checkpoint(directory.checkpoints, print)
    except CheckpointError as error:
        return f"{cause}. {error}"
    if found is None:
        return (
            f"{cause}, before the first checkpoint: the same command starts "
            "with epoch 1."
        )
    again = "ends the run"
    if found.epoch < settings.epochs:
        again = f"repeats epoch {found.epoch + 1} of {settings.epochs}"
    return (
        f"{cause}. The newest checkpoint is verified: {found.path}. The same "
        f"command {again}."
    )


def _longer_note(schedule, done, before, now):
    note = f"After {done} epochs, --epochs was changed from {before} to {now}"
    if schedule == "constant":
        return f"{note}."
    return (
        f"{note}: from there the learning rate follows the new {schedule} "
        "curve, which an uninterrupted run would have followed from the start."
    )
