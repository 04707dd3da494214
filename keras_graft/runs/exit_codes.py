"""Exit codes of the commands, and the errors that carry them."""

from keras_graft.structure.printable import printable

DONE = 0
REFUSED = 1
DATA_UNAVAILABLE = 3
CHECKPOINT_UNUSABLE = 4
ALL_DIVERGED = 5


class RunError(Exception):
    """Ends a command with a message for a person, without a traceback.

    Args:
        message: What came, what is allowed, how to mend it.
        exit_code: One of this module's codes. Defaults to `REFUSED`.
    """

    def __init__(self, message: str, exit_code: int = REFUSED):
        # Names of layers and files in it may hold any character.
        super().__init__(printable(message, kept="\n"))
        self.exit_code = exit_code
