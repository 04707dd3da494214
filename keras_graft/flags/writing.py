"""How flags are written: a line, a flagfile, a table, a folder's name."""

import csv
import hashlib
import io
import re
from typing import Any

from keras_graft.flags import definitions
from keras_graft.flags import flagfiles
from keras_graft.flags.rules import RULES

SPECS = {
    spec.name: spec for specs in definitions.GROUPS.values() for spec in specs
}

# Where a run lies and how long it is do not make it another run.
_NOT_IN_A_RUN_NAME = frozenset(
    "workdir data_dir epochs resume export track plan".split()
)
_RUN_NAME_LENGTH = 100
# What every file system takes as the name of a folder, in bytes, less what a
# study adds to it.
_NAME_BYTES = 200


def line_of(name: str, value: Any) -> str:
    """Returns a flag as it is written on a command line."""
    if value is None or value == ():
        return f"no --{name}"
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    if isinstance(value, tuple):
        row = io.StringIO()
        csv.writer(row, lineterminator="").writerow(value)
        value = row.getvalue()
    return f"--{name}={value}"


def name_in(text: str) -> str:
    """Returns the name of the flag that an argument sets."""
    name = text.lstrip("-").partition("=")[0]
    switch = name.removeprefix("no")
    return name if name in SPECS or switch not in SPECS else switch


def flags_text(values: Any) -> str:
    """Returns a flagfile that repeats a run.

    It holds every flag of this package that is set and has a meaning, one a
    line, in the order of the groups, whatever its default, but for those that
    are newer than some runs. Paths are absolute. Parsing it gives `values`
    again.

    Args:
        values: the settings of the run.
    """
    unused = {
        name for rule in RULES if rule.applies(values) for name in rule.names
    }
    lines = [
        line_of(name, value)
        for name, value in values._asdict().items()
        if name not in unused
        and value not in (None, ())
        and not (SPECS[name].quiet and value == SPECS[name].default)
    ]
    return "".join(f"{line}\n" for line in lines)


def run_name(expansion: flagfiles.Expansion, values: Any) -> str:
    """Returns a folder's name: the flagfile's, and what was changed in it.

    One command always has the same folder, so that it can be resumed, and
    another one has another. Flags that leave the run what it is do not count.
    """
    changed = {
        name_in(argument.text)
        for argument in expansion.arguments
        if argument.source is None and argument.text.startswith("-")
    } - _NOT_IN_A_RUN_NAME
    parts = [
        line_of(name, value).removeprefix("--")
        for name, value in values._asdict().items()
        if name in changed
    ]
    suffix = re.sub(r"[^\w.=-]+", "_", "-".join(parts))
    if len(suffix) > _RUN_NAME_LENGTH:
        suffix = hashlib.sha256(suffix.encode()).hexdigest()[:12]
    stem = "".join(
        c if c.isprintable() else "_" for c in expansion.outer[-1].stem
    )
    name = "-".join(filter(None, [stem, suffix]))
    if len(name.encode()) > _NAME_BYTES:
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        name = f"{stem[:40]}-{digest}"
    return name


def table() -> str:
    """Returns the Markdown table of all flags, for docs/command_line.md."""
    lines = []
    for group, specs in definitions.GROUPS.items():
        lines += [
            f"**{group}**",
            "",
            "| flag | default | allowed | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for spec in specs:
            switch = spec.parser is None
            name = f"--[no]{spec.name}" if switch else f"--{spec.name}"
            default = "not set" if spec.default is None else f"{spec.default}"
            if switch and spec.default is not None:
                default = f"--{'' if spec.default else 'no'}{spec.name}"
            allowed = "a switch" if switch else spec.parser.syntactic_help
            lines.append(f"| `{name}` | {default} | {allowed} | {spec.help} |")
        lines.append("")
    return "\n".join(lines)
