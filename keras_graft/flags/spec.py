"""What is known of a flag."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Spec:
    """A flag: name, default (None: not set), parser (None: switch), help."""

    name: str
    default: Any
    parser: Any
    help: str
