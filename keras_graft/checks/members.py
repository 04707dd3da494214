"""What is one of several names."""

from collections.abc import Sequence


def check_member(name: str, value: object, known: Sequence[str]) -> None:
    """Refuses a value that is none of the known ones.

    Args:
        name: Of the argument, for the message.
        value: What it is.
        known: What it may be.

    Raises:
        ValueError: With what it may be.
    """
    if value not in known:
        raise ValueError(
            f"`{name}` must be one of {', '.join(known)}. Received: {value!r}"
        )
