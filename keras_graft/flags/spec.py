"""What is said of a flag."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Spec:
    """A flag.

    Attributes:
        name: Its name.
        default: What it is if nobody sets it; None: not set.
        parser: What its value may be; None: a switch.
        help: Unit, range and reason, for people.
        quiet: Whether the text of a run's flags leaves it out at its
            default, so that runs from before it existed go on.
    """

    name: str
    default: Any
    parser: Any
    help: str
    quiet: bool = False
