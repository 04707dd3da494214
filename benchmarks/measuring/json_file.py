"""Where a benchmark leaves what it measured."""

import json
import pathlib
from typing import Any


def write(path: str | None, result: Any) -> None:
    """Writes a JSON file and the folders that it needs; nothing without path.

    Args:
        path: What `--json` was given.
        result: JSON values.
    """
    if path is None:
        return
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
