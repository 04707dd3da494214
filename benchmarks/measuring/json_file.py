"""Where a benchmark leaves what it measured."""

import json
import pathlib
from typing import Any


def write(path: str | None, result: Any) -> None:
    """Writes a JSON file and the folders that it needs; nothing without path.

    Who is killed meanwhile leaves what was written before.

    Args:
        path: What `--json` was given.
        result: JSON values.
    """
    if path is None:
        return
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.part")
    unfinished.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    unfinished.replace(file)
