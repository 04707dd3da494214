"""Lists the commands, or runs one of them.

keras-graft launch --dataset=folder:PATH
python -m keras_graft launch --dataset=folder:PATH
"""

import os
import runpy
import sys

from keras_graft.version import __version__

_INTRODUCTION = """\
Train N convolutional networks together, ship one of them.

Your own images, one folder a class:

    {program} launch --dataset=folder:PATH

Commands, each with its own --help:
"""
# Name, the module that it is, what it does, and an example of its arguments.
_COMMANDS = (
    (
        "launch",
        "keras_graft.launch",
        "one run, from flags to shipped.keras; without flags on digits that "
        "install with it",
        "--dataset=folder:PATH --num_networks=2",
    ),
    (
        "predict",
        "keras_graft.predict",
        "a run's shipped network on images",
        "RUN_DIRECTORY IMAGE.jpg",
    ),
    (
        "compare",
        "keras_graft.compare",
        "does it help? arms over seeds, with statistics and a report",
        "--dataset=folder:PATH --num_seeds=5 --plan",
    ),
    (
        "diagnosis",
        "keras_graft.diagnosis",
        "invalid filters of saved models",
        "runs/digits/shipped.keras --plot=filters.png",
    ),
)
_HELP = ("-h", "-help", "--help", "help")
_VERSION = ("-V", "-version", "--version")


def main() -> int:
    """Does what the command line says; returns the exit code."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in _HELP:
        print(_listing(), end="")
        return 0
    if arguments[0] in _VERSION:
        print(f"keras_graft {__version__}")
        return 0
    modules = {name: module for name, module, *_ in _COMMANDS}
    if arguments[0] not in modules:
        print(
            f"Error: {arguments[0]!r} is no command. Known: "
            f"{', '.join(modules)}. Flags come after the command's name.",
            file=sys.stderr,
        )
        return 1
    sys.argv = [sys.argv[0], *arguments[1:]]
    # As `python -m` would: the command ends the process with its exit code.
    runpy.run_module(modules[arguments[0]], run_name="__main__", alter_sys=True)
    return 0


def _listing() -> str:
    own = os.path.basename(sys.argv[0])
    program = "python -m keras_graft" if own == "__main__.py" else own
    parts = [_INTRODUCTION.format(program=program)]
    for name, _, what, example in _COMMANDS:
        parts.append(f"  {name:<10} {what}\n")
        parts.append(f"             {program} {name} {example}\n")
    parts.append(
        "\n`python -m keras_graft.launch` and its like are the same commands. "
        "--version prints the version.\n"
    )
    return "".join(parts)


if __name__ == "__main__":
    sys.exit(main())
